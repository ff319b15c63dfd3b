"""Writes scenarios: the way back from the records to a file that says the same.

What is a default is left out, so a file stays as short as its scenario is plain.
``parse(text(scenario))`` gives the scenario again (property test).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from io import StringIO
from textwrap import wrap
from typing import Any, Final

from ruamel.yaml import YAML

from patronus.engine.policy import PROFILES, Features, LivenessProfile, Policy, TrafficClass
from patronus.engine.units import NEVER
from patronus.sim.language.faults import SELECT, spoken
from patronus.sim.language.profiles import SHIPPED, TransportProfile
from patronus.sim.language.quantities import duration, rate, share
from patronus.sim.scenario import (
    Burst,
    ControlSpec,
    FaultSpec,
    LinkProfile,
    Mesh,
    Scenario,
    Schedule,
    Selector,
    SiteSpec,
    TopologySpec,
    TrafficSpec,
    TransportSpec,
)

Document = dict[str, Any]
"""Plain mappings, lists, texts and numbers."""

_WIDTH: Final = 100
_DEFAULT: Final = Policy()
_BASE: Final = "broadband"
"""The profile that a transport of another name begins with."""


def text(scenario: Scenario, comment: str = "") -> str:
    """Return the file of a scenario.

    Args:
        scenario: which; its ``path`` and the places of its faults are not written.
        comment: lines to stand above it.

    Raises:
        ValueError: a half-applied policy that takes something back, which the language
            cannot say.
    """
    yaml: Any = YAML(typ="safe", pure=True)  # its settings have no types
    yaml.default_flow_style = None
    yaml.width = _WIDTH
    yaml.sort_base_mapping_type_on_output = False
    out = StringIO()
    yaml.dump(document(scenario), out)
    lines = [part for line in comment.splitlines() for part in wrap(line, _WIDTH - 2) or [""]]
    head = [f"# {line}" for line in lines]
    # Where a list goes on in the next line, its last comma has a blank behind it.
    return "".join(f"{line.rstrip()}\n" for line in [*head, *out.getvalue().splitlines()])


def document(scenario: Scenario) -> Document:
    """Return a scenario as plain data, in the order of the language.

    Raises:
        ValueError: as :func:`text`.
    """
    policy = _policy(scenario.policy, scenario.transports)
    parts: Document = {
        "version": 1,
        "name": scenario.name,
        "about": scenario.about,
        "duration": duration(scenario.duration_ns),
        "warmup": duration(scenario.warmup_ns),
        "start": "cold" if scenario.cold else "",
        "seed": scenario.seed,
        "topology": _topology(scenario.topology),
        "transports": {t.name: _transport(t) for t in scenario.transports},
        "groups": {g.name: list(g.links) for g in scenario.groups},
        "destinations": {d.name: list(d.sites) for d in scenario.destinations},
        "classes": policy.pop("classes"),
        "policy": policy,
        "traffic": [_traffic(t) for t in scenario.traffic],
        "control": _control(scenario.control),
        "faults": [_fault(f, scenario) for f in scenario.faults],
        "expect": [e.text for e in scenario.expectations],
    }
    return {key: value for key, value in parts.items() if value != "" and value not in ({}, [])}


# ---------------------------------------------------------------- the network


def _topology(spec: TopologySpec) -> Document:
    found: Document = {"mesh": str(spec.mesh)}
    if spec.sites:
        found["sites"] = [_site(site) for site in spec.sites]
    elif spec.count:
        found["sites"] = spec.count
    if spec.hubs:
        found["hubs"] = spec.hubs
    if spec.map:
        found["map"] = spec.map
    if spec.mesh is Mesh.REGIONAL:
        found["regions"] = spec.regions
    if spec.mesh is Mesh.PARTIAL:
        found["degree"] = spec.degree
    if spec.pairs:
        found["pairs"] = [list(pair) for pair in spec.pairs]
    if spec.delays_ns:
        found["delays"] = [
            _given({"from": a, "to": b, "transport": over, "delay": duration(delay_ns)})
            for (a, b, over), delay_ns in spec.delays_ns.items()
        ]
    if spec.transit:
        found["transit"] = list(spec.transit)
    return found


def _site(site: SiteSpec) -> Document | str:
    found: Document = {"name": site.name}
    if site.latitude is not None:
        found["at"] = [site.latitude, site.longitude]
    if site.hub:
        found["hub"] = True
    found |= _given({"region": site.region, "transports": list(site.transports)})
    return found if len(found) > 1 else site.name


def _transport(spec: TransportSpec) -> Document:
    base = SHIPPED[_base(spec.name)]
    found: Document = {} if spec.name in SHIPPED else {"profile": _BASE}
    if spec.provider != base.provider:
        found["provider"] = spec.provider
    if spec.reroute_ns != base.reroute_ns:
        found["reroute"] = duration(spec.reroute_ns)
    lines = {key: _line(getattr(spec, key), getattr(base, key)) for key in ("up", "down", "core")}
    return found | _given(lines)


def _base(name: str) -> str:
    return name if name in SHIPPED else _BASE


_LINE: Final[Mapping[str, tuple[str, Callable[[int], str | int]]]] = {
    "delay_ns": ("delay", duration), "jitter_ns": ("jitter", duration), "loss_ppm": ("loss", share),
    "rate_bps": ("rate", rate), "buffer_ns": ("buffer", duration), "mtu": ("mtu", int),
}  # fmt: skip


def _line(line: LinkProfile, base: LinkProfile) -> Document:
    found: Document = {
        key: write(getattr(line, name))
        for name, (key, write) in _LINE.items()
        if getattr(line, name) != getattr(base, name)
    }
    if line.burst != base.burst:
        found["burst"] = _burst(line.burst) if line.burst else "none"
    return found


def _burst(burst: Burst) -> Document:
    return {
        "gap": duration(burst.gap_ns),
        "length": duration(burst.length_ns),
        "loss": share(burst.loss_ppm),
    }


def _control(control: ControlSpec) -> Document:
    if control == ControlSpec():
        return {}
    return {"delay": duration(control.delay_ns), "jitter": duration(control.jitter_ns)}


def _traffic(traffic: TrafficSpec) -> Document:
    return {
        "class": traffic.traffic_class,
        "from": _words(traffic.sources),
        "to": _words(traffic.destinations),
        "rate": rate(traffic.rate_bps),
        "packet": f"{traffic.packet_bytes}B",
        **({} if traffic.both_ways else {"both_ways": False}),
        **({"peers": traffic.peers} if traffic.peers else {}),
    }


def _words(words: Iterable[str]) -> list[str]:
    return ["all" if word == "*" else word for word in words]


# ---------------------------------------------------------------- the policy

_TIMERS: Final = {
    "evaluation_ns": "evaluation", "stale_ns": "stale", "kernel_hold_ns": "kernel_hold",
    "announcement_ns": "announcement",
}  # fmt: skip


def _policy(policy: Policy, transports: Sequence[TransportSpec]) -> Document:
    found: Document = {
        key: duration(getattr(policy, name))
        for name, key in _TIMERS.items()
        if getattr(policy, name) != getattr(_DEFAULT, name)
    }
    if policy.loss_window != _DEFAULT.loss_window:
        found["loss_window"] = policy.loss_window
    margin = policy.margin_ppm, policy.margin_ns
    if margin != (_DEFAULT.margin_ppm, _DEFAULT.margin_ns):
        found["margin"] = {"share": share(margin[0]), "at_least": duration(margin[1])}
    damping = policy.damping
    if damping != _DEFAULT.damping:
        times = damping.hold_ns, damping.hold_max_ns, damping.decay_ns
        found["damping"] = dict(zip(("hold", "max", "decay"), map(duration, times), strict=True))
    off = [f.name for f in fields(Features) if not getattr(policy.features, f.name)]
    found["features"] = dict.fromkeys(off, False)
    found["liveness"] = {
        t.name: _liveness(profile)
        for t in transports
        if (profile := policy.profile(t.name)) != _usual(SHIPPED[_base(t.name)])
    }
    found["cost"] = dict(policy.cost)
    plain = policy.classes == _DEFAULT.classes
    found["classes"] = {} if plain else {c.name: _class(c) for c in policy.classes}
    return {key: value for key, value in found.items() if key == "classes" or value != {}}


def _usual(base: TransportProfile) -> LivenessProfile:
    return PROFILES[base.liveness]


def _liveness(profile: LivenessProfile) -> Document | str:
    if PROFILES.get(profile.name) == profile:
        return profile.name
    return {"interval": duration(profile.interval_ns), "multiplier": profile.multiplier}


def _class(given: TrafficClass) -> Document:
    sla = given.sla
    limits = {
        "latency": None if sla.latency_ns is None else duration(sla.latency_ns),
        "jitter": None if sla.jitter_ns is None else duration(sla.jitter_ns),
        "loss": None if sla.loss_ppm is None else share(sla.loss_ppm),
        "mos": None if sla.mos_milli is None else sla.mos_milli / 1000,
        "codec": None if sla.codec == "g711" else sla.codec,
        "mtu": sla.mtu,
    }
    return _given(
        {
            "match": [_match(m) for m in given.matches],
            "sla": {key: value for key, value in limits.items() if value is not None},
            "prefer": list(sla.prefer),
            "forbid": sorted(sla.forbid),
            "when_none": "" if str(sla.when_none) == "best" else str(sla.when_none),
            "share": dict(given.share),
            "pin": given.pinned,
        }
    )


def _match(match: Any) -> Document:
    found: Document = {"dscp": sorted(match.dscp), "prefixes": list(match.prefixes)}
    if match.protocol is not None:
        found["protocol"] = match.protocol
    found["ports"] = [f"{low}-{high}" for low, high in match.ports]
    return {key: value for key, value in found.items() if value != []}


# ---------------------------------------------------------------- faults


def _fault(fault: FaultSpec, scenario: Scenario) -> Document:
    found: Document = {"name": fault.name, "kind": str(fault.kind)}
    found |= _schedule(fault.schedule)
    found["on"] = _selector(fault.select)
    for name, key in spoken(fault.kind).items():
        if value := getattr(fault, name):
            found[key] = _QUANTITIES[name](value) if name in _QUANTITIES else value
    if fault.policy is not None:
        base, own = (_policy(p, scenario.transports) for p in (scenario.policy, fault.policy))
        found["policy"] = _changes(base, own)
    return found


_QUANTITIES: Final[Mapping[str, Callable[[Any], Any]]] = {
    "loss_ppm": share, "burst": _burst, "delay_ns": duration, "jitter_ns": duration,
    "rate_bps": rate, "jump_ns": duration, "up_ns": duration, "down_ns": duration,
}  # fmt: skip


def _schedule(schedule: Schedule) -> Document:
    found: Document = {"at": duration(schedule.at_ns)}
    if schedule.for_ns != NEVER:
        found["for"] = duration(schedule.for_ns)
    if schedule.every_ns:
        found["every"] = duration(schedule.every_ns)
    if schedule.random_mean_ns:
        found["random"] = duration(schedule.random_mean_ns)
    if schedule.times != 1:
        found["times"] = schedule.times
    elif schedule.every_ns or schedule.random_mean_ns:
        found["times"] = 1
    return {key: value for key, value in found.items() if value != 0}


def _selector(selector: Selector) -> Document:
    parts = {f.into: key for key, f in SELECT.fields.items() if f.into and f.into != "direction"}
    found = {key: list(getattr(selector, part)) for part, key in parts.items()}
    found["site"] = _words(found["site"])
    return _given(found) | _given({"mode": _mode(selector), "direction": _direction(selector)})


def _direction(selector: Selector) -> str:
    return "" if str(selector.direction) == "both" else str(selector.direction)


def _mode(selector: Selector) -> Document | str:
    match selector.mode:
        case "count":
            return {"count": selector.amount}
        case "percent":
            return share(selector.amount)
    return "" if selector.mode == "all" else selector.mode


def _changes(base: Mapping[str, Any], own: Mapping[str, Any]) -> Document:
    """Return what is to be laid over one mapping to get another."""
    gone = [key for key in base if key not in own]
    if gone:
        raise ValueError(f"a half-applied policy takes `{gone[0]}` back, which cannot be written")
    found: Document = {}
    for key, value in own.items():
        old = base.get(key)
        if value == old:
            continue
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        found[key] = _changes(old, value) if both and old is not None else value
    return found


def _given(parts: Mapping[str, Any]) -> Document:
    """Return the parts that say something."""
    return {key: value for key, value in parts.items() if value}

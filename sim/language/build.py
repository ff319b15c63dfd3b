"""Builds the scenario's records from what was read, once it holds no mistake."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from patronus.engine.policy import PROFILES, LivenessProfile, Policy
from patronus.engine.units import NEVER
from patronus.sim.language.policies import liveness, policy
from patronus.sim.language.profiles import SHIPPED
from patronus.sim.language.records import Rec
from patronus.sim.language.tree import ListNode
from patronus.sim.scenario import (
    Burst,
    ControlSpec,
    DestinationSpec,
    ExpectationSpec,
    FaultSpec,
    GroupSpec,
    LinkProfile,
    Scenario,
    Schedule,
    Selector,
    SiteSpec,
    TopologySpec,
    TrafficSpec,
    TransportSpec,
)  # fmt: skip

Carriers = Mapping[str, Rec | str | None]
"""Transports as read, by name: a record, the name of a shipped profile, or nothing."""


def scenario(root: Rec, path: str, stem: str) -> Scenario:
    """Return the scenario of a root record; ``stem`` is its name if it gives none."""
    transports = root.get("transports")
    carriers: Carriers = transports if isinstance(transports, dict) else dict.fromkeys(transports)
    control = root.get("control")
    return Scenario(
        **{"name": stem, **root.attributes()},
        topology=topology(root.get("topology")),
        transports=tuple(_transport(name, given) for name, given in carriers.items()),
        policy=_policy(root.get("policy"), carriers),
        destinations=tuple(DestinationSpec(n, s) for n, s in root.get("destinations", {}).items()),
        groups=tuple(GroupSpec(name, links) for name, links in root.get("groups", {}).items()),
        traffic=tuple(_traffic(rec) for rec in root.get("traffic", ())),
        faults=_faults(root.get("faults", ()), carriers),
        expectations=_expectations(root),
        control=ControlSpec(**control.attributes()) if control else ControlSpec(),
        path=path,
    )


def topology(rec: Rec) -> TopologySpec:
    """Return where the sites are and which tunnels join them."""
    sites, hubs = rec.get("sites", 0), rec.get("hubs", 0)
    named = () if isinstance(hubs, int) else hubs
    delays = rec.get("delays", ())
    return TopologySpec(
        **rec.attributes(),
        sites=() if isinstance(sites, int) else tuple(_site(site, named) for site in sites),
        count=sites if isinstance(sites, int) else 0,
        hubs=hubs if isinstance(hubs, int) else 0,
        delays_ns={
            (d.get("from"), d.get("to"), d.get("transport", "")): d.get("delay") for d in delays
        },
    )


def _site(site: Rec | str, hubs: Sequence[str]) -> SiteSpec:
    if isinstance(site, str):
        return SiteSpec(site, hub=site in hubs)
    latitude, longitude = site.get("at", (None, None))
    spec = SiteSpec(**site.attributes(), latitude=latitude, longitude=longitude)
    return replace(spec, hub=spec.hub or spec.name in hubs)


# ---------------------------------------------------------------- transports


def _transport(name: str, given: Rec | str | None) -> TransportSpec:
    rec = given if isinstance(given, Rec) else None
    shipped = SHIPPED[_profile(name, given)]
    spec = TransportSpec(
        name, shipped.up, shipped.down, shipped.core, shipped.provider, shipped.reroute_ns
    )
    if rec is None:
        return spec
    access = rec.get("access")
    return replace(
        spec,
        up=_line(_line(spec.up, access), rec.get("up")),
        down=_line(_line(spec.down, access), rec.get("down")),
        core=_line(spec.core, rec.get("core")),
        **rec.attributes(),
    )


def _profile(name: str, given: Rec | str | None) -> str:
    named = given.get("profile") if isinstance(given, Rec) else given
    return str(named or name)


def _line(base: LinkProfile, rec: Rec | None) -> LinkProfile:
    if rec is None:
        return base
    attributes = rec.attributes()
    if isinstance(attributes.get("burst"), Rec):
        attributes["burst"] = _burst(attributes["burst"])
    return replace(base, **attributes)


def _burst(rec: Rec | None) -> Burst | None:
    return Burst(**rec.attributes()) if rec else None


# ---------------------------------------------------------------- policy


def _policy(rec: Rec | None, carriers: Carriers) -> Policy:
    costs = {
        name: given.get("cost")
        for name, given in carriers.items()
        if isinstance(given, Rec) and "cost" in given.values
    }
    return policy(rec, {name: _probing(name, given) for name, given in carriers.items()}, costs)


def _probing(name: str, given: Rec | str | None) -> LivenessProfile:
    own = given.get("liveness") if isinstance(given, Rec) else None
    return liveness(own) if own else PROFILES[SHIPPED[_profile(name, given)].liveness]


# ---------------------------------------------------------------- traffic and faults


def _traffic(rec: Rec) -> TrafficSpec:
    return TrafficSpec(
        traffic_class=rec.get("class"),
        sources=_words(rec.get("from")),
        destinations=_words(rec.get("to")),
        **rec.attributes(),
    )


def _words(words: Sequence[str]) -> tuple[str, ...]:
    return tuple("*" if word == "all" else word for word in words)


def fault_names(faults: Sequence[Rec]) -> list[str]:
    """Return the name of each fault: its own, or its kind and position among its equals."""
    kinds = [str(fault.get("kind")) for fault in faults]
    made = (f"{kind}-{kinds[: at + 1].count(kind)}" for at, kind in enumerate(kinds))
    return [fault.get("name", name) for fault, name in zip(faults, made, strict=True)]


def _faults(records: Sequence[Rec], carriers: Carriers) -> tuple[FaultSpec, ...]:
    named = zip(fault_names(records), records, strict=True)
    return tuple(_fault(name, rec, carriers) for name, rec in named)


def _fault(name: str, rec: Rec, carriers: Carriers) -> FaultSpec:
    mark = rec.node.mark
    own = rec.get("policy")
    return FaultSpec(
        name=name,
        **rec.attributes(),
        select=_selector(rec.get("on")),
        schedule=_schedule(rec),
        burst=_burst(rec.get("burst")),
        policy=_policy(own, carriers) if own else None,
        place=f"{mark.source.name}:{mark.line}:{mark.column}",
    )


def _selector(rec: Rec) -> Selector:
    mode = rec.get("mode", ("all", 0))
    if isinstance(mode, Rec):
        mode = ("count", mode.get("count"))
    elif isinstance(mode, int):
        mode = ("percent", mode)
    attributes = rec.attributes()
    attributes["sites"] = _words(attributes.get("sites", ()))
    return Selector(**attributes, mode=mode[0], amount=mode[1])


def _schedule(rec: Rec) -> Schedule:
    random, every = rec.get("random", 0), rec.get("every", 0)
    endless = 0 if random or every else 1
    return Schedule(
        rec.get("at", 0), rec.get("for", NEVER), every, rec.get("times", endless), random
    )


def _expectations(root: Rec) -> tuple[ExpectationSpec, ...]:
    node = root.node.get("expect")
    lines = [item.mark.line for item in node.items] if isinstance(node, ListNode) else []
    return tuple(
        ExpectationSpec(text, line)
        for text, line in zip(root.get("expect", ()), lines, strict=True)
    )

"""Random overlays in random weather: drawn from a seed, with every kind of fault."""

from dataclasses import replace
from random import Random
from typing import Any

from patronus.engine.policy import Damping, LivenessProfile, Policy, SlaClass, TrafficClass
from patronus.engine.units import MS, SECOND
from patronus.sim.faults.kinds import KINDS
from patronus.sim.scenario import (
    Burst,
    DestinationSpec,
    FaultKind,
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
)

PROBES = (
    LivenessProfile("quick", 50 * MS, 4),
    LivenessProfile("wan", 100 * MS, 3),
    LivenessProfile("slow", 200 * MS, 5),
)
KINDS_OF_FAULT = tuple(FaultKind)


def scenario(seed: int, *, sites: int, duration_ns: int, faults: int = 4) -> Scenario:
    """Return a scenario that a seed draws.

    Args:
        seed: of everything.
        sites: at most so many; the more, the more tunnels.
        duration_ns: of the run.
        faults: so many; over ``len(KINDS_OF_FAULT) / faults`` seeds every kind occurs.
    """
    luck = Random(seed)
    names = [f"s{n}" for n in range(luck.randint(4, sites))]
    transports = tuple(_transport(name, luck) for name in ("a", "b", "c")[: luck.randint(2, 3)])
    if luck.random() < 0.3:  # equal scores
        transports = tuple(replace(transports[0], name=t.name) for t in transports)
    policy = _policy(luck, [t.name for t in transports])
    kinds = [KINDS_OF_FAULT[(seed * faults + n) % len(KINDS_OF_FAULT)] for n in range(faults)]
    drawn = _Faults(luck, names, [t.name for t in transports], policy, duration_ns)
    return Scenario(
        f"weather {seed}",
        TopologySpec(sites=tuple(SiteSpec(n, hub=n in names[:2]) for n in names)),
        transports,
        policy,
        duration_ns=duration_ns,
        warmup_ns=4 * SECOND,
        destinations=(DestinationSpec("internet", tuple(names[:2])),),
        groups=(GroupSpec("duct", (f"access:{names[0]}:a", f"access:{names[-1]}:b")),),
        traffic=_traffic(luck),
        faults=tuple(drawn.draw(kind, f"f{n}") for n, kind in enumerate(kinds)),
        seed=seed,
    )


def _transport(name: str, luck: Random) -> TransportSpec:
    """Return a transport with loss and jitter, sometimes with bursts."""
    burst = Burst(luck.randint(5, 30) * SECOND, luck.randint(80, 250) * MS, 300_000)
    access = LinkProfile(
        delay_ns=luck.randint(1, 20) * MS,
        jitter_ns=luck.choice([1, 2, 5, 12]) * MS,
        loss_ppm=luck.choice([10, 500, 2_000]),
        burst=burst if luck.random() < 0.5 else None,
        rate_bps=50_000_000,
    )
    core = LinkProfile(jitter_ns=MS, loss_ppm=50, rate_bps=1_000_000_000)
    provider = luck.choice(["ring", "star", "mesh"])
    reroute_ns = luck.randint(200, 1_500) * MS
    return TransportSpec(name, access, access, core, provider=provider, reroute_ns=reroute_ns)


def _policy(luck: Random, transports: list[str]) -> Policy:
    voice = SlaClass(latency_ns=luck.randint(60, 200) * MS, loss_ppm=10_000, mos_milli=4_000)
    video = SlaClass(jitter_ns=luck.randint(10, 50) * MS, prefer=(transports[-1],))
    classes = (TrafficClass("voice", sla=voice), TrafficClass("video", sla=video))
    return Policy(
        classes=(*classes, TrafficClass("bulk")),
        liveness={name: luck.choice(PROBES) for name in transports},
        damping=Damping(hold_ns=SECOND, hold_max_ns=8 * SECOND, decay_ns=10 * SECOND),
        evaluation_ns=luck.choice([500 * MS, SECOND]),
    )


def _traffic(luck: Random) -> tuple[TrafficSpec, ...]:
    if luck.random() < 0.5:
        return ()
    return (TrafficSpec("voice", ("s1",), ("s0", "s2"), rate_bps=200_000, packet_bytes=200),)


class _Faults:
    """Draws faults for one overlay."""

    def __init__(
        self, luck: Random, sites: list[str], transports: list[str], policy: Policy, end_ns: int
    ) -> None:
        self._luck, self._sites, self._transports = luck, sites, transports
        self._policy, self._end_ns = policy, end_ns

    def draw(self, kind: FaultKind, name: str) -> FaultSpec:
        """Return a fault of a kind, at a time off every grid."""
        luck = self._luck
        start_ns = luck.randint(SECOND, self._end_ns // 2)
        plan = Schedule(start_ns, luck.randint(200 * MS, self._end_ns // 3))
        needs = {field: self._value(field) for field in KINDS[kind].needs}
        return FaultSpec(name, kind, self._selector(kind), plan, **needs)

    def _selector(self, kind: FaultKind) -> Selector:
        site = self._luck.choice(self._sites)
        ways = {
            "sites": Selector(sites=(site,), transports=(self._luck.choice(self._transports),)),
            "groups": Selector(groups=("duct",)),
            "providers": Selector(providers=(self._luck.choice(self._transports),)),
        }
        selects = KINDS[kind].selects
        part = next(p for p in ways if p in selects)
        if part == "sites" and "transports" not in selects:
            return Selector(sites=(site,))
        return ways[part]

    def _value(self, field: str) -> Any:
        luck = self._luck
        only = SlaClass(prefer=(self._transports[0],))
        own = (TrafficClass("voice", sla=only), *self._policy.classes[1:])
        values = {
            "loss_ppm": luck.choice([20_000, 300_000, 900_000]),
            "burst": Burst(400 * MS, 100 * MS, 900_000),
            "delay_ns": luck.randint(10, 120) * MS,
            "jitter_ns": luck.randint(5, 60) * MS,
            "rate_bps": 1_000_000,
            "mtu": 1200,
            "jump_ns": luck.choice([-SECOND, 300 * MS]),
            "up_ns": luck.randint(60, 2_000) * MS,
            "down_ns": luck.randint(60, 900) * MS,
            "policy": replace(self._policy, classes=own),
        }
        return values[field]

"""Small overlays in bad weather: every fault kind, short, at instants off every grid."""

from collections.abc import Sequence
from dataclasses import replace

from patronus.engine.policy import (
    PROFILES,
    Damping,
    LivenessProfile,
    Policy,
    SlaClass,
    TrafficClass,
)
from patronus.engine.units import MS, SECOND
from patronus.sim.scenario import (
    Burst,
    ControlSpec,
    DestinationSpec,
    Direction,
    FaultKind,
    FaultSpec,
    GroupSpec,
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

SITES = ("hub", "second", "berlin", "oslo", "rome", "paris")

VOICE = TrafficClass("voice", sla=SlaClass(latency_ns=150 * MS, loss_ppm=10_000))
BULK = TrafficClass("bulk")
NO_FABRIC = TrafficClass("voice", sla=SlaClass(forbid=frozenset({"fabric"})))

FABRIC = LinkProfile(delay_ns=2 * MS, jitter_ns=3 * MS, loss_ppm=500, rate_bps=100_000_000)
LTE = LinkProfile(
    delay_ns=20 * MS,
    jitter_ns=250 * MS,
    loss_ppm=2_000,
    burst=Burst(gap_ns=3 * SECOND, length_ns=150 * MS, loss_ppm=400_000),
    rate_bps=20_000_000,
)
SATELLITE = LinkProfile(delay_ns=130 * MS, jitter_ns=20 * MS, loss_ppm=5_000, rate_bps=10_000_000)
CORE = LinkProfile(jitter_ns=MS, loss_ppm=100, rate_bps=1_000_000_000)

TRANSPORTS = {
    # 10 ms: the probes of one tunnel differ by less than its noise on the way.
    "fabric": TransportSpec("fabric", FABRIC, FABRIC, CORE, provider="ring", reroute_ns=350 * MS),
    # Noise far beyond what lies between two probes; losses in bursts.
    "lte": TransportSpec("lte", LTE, LTE, CORE, provider="star"),
    # A round trip takes longer than several intervals.
    "satellite": TransportSpec("satellite", SATELLITE, SATELLITE, CORE, provider="star"),
}
LIVENESS = {
    "fabric": PROFILES["fabric"],
    "lte": LivenessProfile("quick", 40 * MS, 5),
    "satellite": LivenessProfile("often", 70 * MS, 9),
}
DUCT = GroupSpec("duct", ("access:berlin:fabric", "access:hub:lte"))

POLICY = Policy(
    classes=(VOICE, BULK),
    liveness=LIVENESS,
    # Everything in a hurry, so that short runs see holds end and decays begin.
    damping=Damping(hold_ns=300 * MS, hold_max_ns=2 * SECOND, decay_ns=2 * SECOND),
    evaluation_ns=500 * MS,
    kernel_hold_ns=600 * MS,
)


def calm(
    *faults: FaultSpec,
    sites: int = 4,
    transports: Sequence[str] = ("fabric", "lte", "satellite"),
    mesh: Mesh = Mesh.FULL,
    duration_ns: int = 3 * SECOND,
    traffic: bool = True,
    **fields: object,
) -> Scenario:
    """Return an overlay of up to six sites without faults but the given ones."""
    names = SITES[:sites]
    flows = (
        TrafficSpec("voice", ("*",), ("*",), rate_bps=200_000, packet_bytes=200),
        TrafficSpec("bulk", ("*",), ("*",), rate_bps=1_000_000, packet_bytes=1400),
    )
    return Scenario(
        "storm",
        TopologySpec(
            mesh=mesh,
            sites=tuple(SiteSpec(n, hub=n in {"hub", "second"}) for n in names),
            transit=("hub",),
        ),
        tuple(TRANSPORTS[name] for name in transports),
        POLICY,
        duration_ns=duration_ns,
        warmup_ns=1_500 * MS,
        destinations=(DestinationSpec("internet", names[:2]),),
        groups=(DUCT,) if sites > 2 and {"fabric", "lte"} <= {*transports} else (),
        traffic=flows if traffic else (),
        faults=faults,
        control=ControlSpec(delay_ns=30 * MS, jitter_ns=10 * MS),
        **fields,  # type: ignore[arg-type]  # the caller's own fields of Scenario
    )


def fault(kind: FaultKind, at_ns: int, for_ns: int, **fields: object) -> FaultSpec:
    """Return one fault; ``on`` is a selector, berlin's fabric access where none is given."""
    on = fields.pop("on", Selector(sites=("berlin",), transports=("fabric",)))
    assert isinstance(on, Selector)
    name = str(fields.pop("name", kind))
    plan = Schedule(at_ns, for_ns)
    return FaultSpec(name, kind, on, plan, **fields)  # type: ignore[arg-type]  # FaultSpec's own


_HERE = Selector(sites=("berlin",), transports=("fabric",))
_BERLIN = Selector(sites=("berlin",))
_LTE = Selector(sites=("hub",), transports=("lte",))
_ODD = 777_777  # off every grid

STORMS: dict[str, tuple[FaultSpec, ...]] = {
    "cuts": (
        fault(FaultKind.LINK_DOWN, 1_234 * MS + _ODD, 900 * MS),
        fault(
            FaultKind.BLACKHOLE, 800 * MS + _ODD, 1_500 * MS,
            on=Selector(sites=("oslo",), direction=Direction.OUT),
        ),
        fault(FaultKind.SHARED_RISK_CUT, 2_000 * MS, 700 * MS, on=Selector(groups=("duct",))),
        fault(FaultKind.PROVIDER_OUTAGE, 3_000 * MS + 1, 300 * MS, on=Selector(providers=("lte",))),
    ),
    "flaps": (
        fault(FaultKind.FLAPPING, 500 * MS, 3 * SECOND, down_ns=90 * MS + 7, up_ns=61 * MS),
        fault(FaultKind.FLAPPING, 510 * MS, 3 * SECOND, name="slower", on=_LTE,
              down_ns=410 * MS, up_ns=333 * MS),
        fault(FaultKind.LINK_DOWN, 1_000 * MS + _ODD, 2 * SECOND, name="core",
              on=Selector(links=("fabric:*",), mode="one")),
    ),
    "losses": (
        fault(FaultKind.LOSS, 300 * MS + _ODD, 3 * SECOND, loss_ppm=800_000),
        fault(FaultKind.LOSS, 900 * MS, 1 * SECOND, name="more", loss_ppm=300_000, on=_BERLIN),
        fault(FaultKind.BURST_LOSS, 200 * MS, 3 * SECOND, on=_LTE,
              burst=Burst(200 * MS, 60 * MS, 900_000)),
        fault(FaultKind.CORRUPTION, 1_500 * MS + 3, 1 * SECOND, loss_ppm=200_000,
              on=Selector(sites=("oslo",))),
    ),
    "delays": (
        fault(FaultKind.DELAY, 700 * MS + _ODD, 1_700 * MS, delay_ns=80 * MS, jitter_ns=45 * MS),
        fault(FaultKind.JITTER, 1_000 * MS, 2 * SECOND, jitter_ns=300 * MS, on=_BERLIN),
        fault(FaultKind.REORDERING, 400 * MS, 2 * SECOND, loss_ppm=200_000, delay_ns=30 * MS),
        fault(FaultKind.DUPLICATION, 500 * MS + 1, 2 * SECOND, loss_ppm=100_000),
        fault(FaultKind.MTU_BLACKHOLE, 1_600 * MS + 5, 1 * SECOND, mtu=600),
        fault(FaultKind.RATE, 900 * MS + 9, 2 * SECOND, rate_bps=1_500_000, on=_BERLIN),
    ),
    "agents": (
        fault(FaultKind.AGENT_PAUSE, 300 * MS + _ODD, 2_200 * MS, on=_BERLIN),
        fault(FaultKind.AGENT_KILL, 850 * MS + 1, 400 * MS, on=Selector(sites=("oslo",))),
        fault(FaultKind.CONTROLLER_PARTITION, 200 * MS, 2_500 * MS, on=Selector(sites=("second",))),
        fault(FaultKind.CLOCK_JUMP, 1_111 * MS, 1 * SECOND, jump_ns=200 * MS,
              on=Selector(sites=("hub",))),
        fault(FaultKind.LAN_DOWN, 1_450 * MS + _ODD, 1 * SECOND, on=Selector(sites=("hub",))),
        fault(FaultKind.LINK_DOWN, 900 * MS + _ODD, 600 * MS, name="meanwhile"),
    ),
    "plans": (
        fault(FaultKind.DRAIN, 350 * MS + _ODD, 1_200 * MS),
        fault(FaultKind.HALF_CONFIG, 610 * MS + _ODD, 1_900 * MS, on=_BERLIN,
              policy=replace(POLICY, classes=(NO_FABRIC, BULK))),
        fault(FaultKind.REKEY_STORM, 900 * MS, 3 * SECOND, down_ns=140 * MS, up_ns=33 * MS),
        fault(FaultKind.SITE_CRASH, 2_250 * MS + _ODD, 900 * MS, on=Selector(sites=("oslo",))),
    ),
}  # fmt: skip
"""Faults that overlap, by what they have in common; together every kind there is."""

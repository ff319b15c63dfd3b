"""Compiling: from a scenario's faults to occurrences, warnings and lines for people."""

from dataclasses import replace
from typing import Any

import pytest

from patronus.engine.policy import Policy
from patronus.engine.units import MS, NEVER, PPM, SECOND
from patronus.sim.faults.compile import compile_faults
from patronus.sim.faults.describe import describe
from patronus.sim.faults.kinds import KINDS, commanded
from patronus.sim.faults.outages import hard_down, mutes
from patronus.sim.faults.selectors import FaultError
from patronus.sim.scenario import (
    Burst,
    Direction,
    FaultKind,
    FaultSpec,
    Schedule,
    Selector,
)  # fmt: skip
from patronus.sim.timeline import Occurrence, Timeline
from tests.sim.handmade import SITES, make_fault, make_network, make_scenario

NETWORK = make_network(groups={"conduit": (18, 19, 26, 27)}, without=[("rome", "lte")])
NAMES = NETWORK.underlay.links.names
OVERLAY = NETWORK.overlay

NEEDED: dict[str, Any] = {
    "loss_ppm": 10_000, "burst": Burst(SECOND, 100 * MS, PPM), "delay_ns": 10 * MS,
    "jitter_ns": MS, "rate_bps": 10_000_000, "mtu": 1200, "jump_ns": -SECOND, "up_ns": SECOND,
    "down_ns": 500 * MS, "policy": Policy(),
}  # fmt: skip
NOWHERE = Selector(), Schedule()
WORDS = {"groups": ("conduit",), "providers": ("mpls",), "sites": ("berlin",)}


def sample(kind: FaultKind, name: str = "f") -> FaultSpec:
    """Build a fault of a kind with what it needs."""
    part = next(p for p in ("sites", "groups", "providers") if p in KINDS[kind].selects)
    selector = Selector(**{part: WORDS[part]})  # type: ignore[arg-type]  # a part of Selector
    needs: dict[str, Any] = {field: NEEDED[field] for field in KINDS[kind].needs}
    return make_fault(kind, name, select=selector, **needs)


def compiled(*faults: FaultSpec, seed: int = 1, duration_ns: int = 60 * SECOND) -> Timeline:
    """Compile faults on the handmade network."""
    return compile_faults(make_scenario(*faults, duration_ns=duration_ns), NETWORK, seed)


def one(fault: FaultSpec) -> Occurrence:
    """Compile a fault that happens once."""
    (occurrence,) = compiled(fault).occurrences
    return occurrence


# ---------------------------------------------------------------- occurrences


@pytest.mark.parametrize("kind", FaultKind)
def test_every_kind_compiles(kind: FaultKind) -> None:
    """Each kind hits links, sites or rows, as the table says, and describes itself."""
    timeline = compiled(sample(kind))
    first = timeline.occurrences[0]
    assert first.name == "f#0"
    assert first.start_ns == 10 * SECOND
    on_links = KINDS[kind].target == "links" or kind is FaultKind.SITE_CRASH
    assert bool(first.links) == on_links
    assert bool(first.sites) == (KINDS[kind].target != "links")
    assert bool(first.rows) == (kind is FaultKind.REKEY_STORM)
    assert bool(first.transports) == (kind in (FaultKind.DRAIN, FaultKind.REKEY_STORM))
    assert describe(timeline, NETWORK)[0].startswith(f"f: {kind} on {first.label} (")


@pytest.mark.parametrize("kind", FaultKind)
def test_what_is_needed_must_be_given(kind: FaultKind) -> None:
    """A fault without a field that its kind needs, or with another kind's, is an error."""
    for field in KINDS[kind].needs:
        lacking = replace(sample(kind), **{field: getattr(FaultSpec("", kind, *NOWHERE), field)})
        with pytest.raises(FaultError, match=f"needs {field}"):
            compiled(lacking)
    for field in set(NEEDED) - set(KINDS[kind].needs + KINDS[kind].allows):
        with pytest.raises(FaultError, match=f"{field} means nothing"):
            compiled(replace(sample(kind), **{field: NEEDED[field]}))


@pytest.mark.parametrize(
    ("kind", "field", "value", "message"),
    [
        ("loss", "loss_ppm", PPM + 1, "between 0 and"),
        ("loss", "loss_ppm", -1, "negative"),
        ("delay", "delay_ns", -1, "negative"),
        ("burst-loss", "burst", Burst(SECOND, MS, PPM + 1), "between 0 and"),
        ("burst-loss", "burst", Burst(SECOND, MS, -1), "between 0 and"),
        ("burst-loss", "burst", Burst(0, MS, 1), "periods must last"),
        ("burst-loss", "burst", Burst(10, 10, 1), "below"),
    ],
)
def test_values_out_of_range(kind: str, field: str, value: Any, message: str) -> None:
    """A loss above one, a negative time or bursts without length are errors."""
    fault = replace(sample(FaultKind(kind)), **{field: value})
    with pytest.raises(FaultError, match=message):
        compiled(fault)


def test_names_are_unique() -> None:
    """Two faults of one name would share their luck."""
    with pytest.raises(FaultError, match="name of another"):
        compiled(make_fault(), make_fault())


def test_direction_picks_links() -> None:
    """One direction of an access link is one directed link."""
    berlin = Selector(sites=("berlin",), transports=("mpls",), direction=Direction.IN)
    occurrence = one(make_fault(select=berlin))
    assert occurrence.links == (NETWORK.underlay.down[2, 0],)
    assert occurrence.label == "access:berlin:mpls in"


def test_a_direction_without_links_is_an_error() -> None:
    """A group that lies in one direction cannot be hit in the other."""
    network = make_network(groups={"oneway": (4,)})
    fault = make_fault(select=Selector(groups=("oneway",), direction=Direction.IN))
    with pytest.raises(FaultError, match="no link in direction in"):
        compile_faults(make_scenario(fault), network, 1)


def test_labels_are_short() -> None:
    """Many targets are counted, not listed."""
    occurrence = one(make_fault(select=Selector(transports=("mpls",))))
    assert occurrence.label == "access:hub1:mpls, access:hub2:mpls, access:berlin:mpls and 2 more"


def test_occurrences_are_ordered_by_start_and_name() -> None:
    """The timeline goes by time, equal times by name, whatever the file's order."""
    twice = Schedule(at_ns=5 * SECOND, for_ns=SECOND, every_ns=10 * SECOND, times=2)
    once = Schedule(at_ns=15 * SECOND, for_ns=SECOND)
    names = [
        o.name
        for o in compiled(
            make_fault(name="z", schedule=once),
            make_fault(name="b", schedule=twice),
            make_fault(name="a", schedule=once),
        ).occurrences
    ]
    assert names == ["b#0", "a#0", "b#1", "z#0"]


def test_adding_or_removing_a_fault_leaves_the_others_equal() -> None:
    """Choices and random times of a fault are its own."""
    chosen = Selector(transports=("*",), mode="count", amount=3)
    schedule = Schedule(for_ns=SECOND, random_mean_ns=5 * SECOND, times=0)
    faults = [make_fault(name=n, select=chosen, schedule=schedule) for n in "abc"]
    together = compiled(*faults).occurrences
    for fault in faults:
        mine = tuple(o for o in together if o.fault is fault)
        assert mine == compiled(fault).occurrences
        assert mine != compiled(fault, seed=2).occurrences


# ---------------------------------------------------------------- rekey storms


def storm(site: str = "berlin", *transports: str) -> FaultSpec:
    """Build a storm: tunnels of a site fall mute for 300 ms, 100 ms apart."""
    selector = Selector(sites=(site,), transports=transports)
    return make_fault(
        FaultKind.REKEY_STORM,
        select=selector,
        schedule=Schedule(at_ns=10 * SECOND),
        up_ns=100 * MS,
        down_ns=300 * MS,
    )


def test_a_storm_mutes_each_tunnel_once_both_ways() -> None:
    """Berlin's four mpls tunnels are mute in turn, both rows alike; the storm then is over."""
    timeline = compiled(storm("berlin", "mpls"))
    (occurrence,) = timeline.occurrences
    found = mutes(timeline, OVERLAY)
    meant = (OVERLAY.transport == 0) & ((OVERLAY.src == 2) | (OVERLAY.dst == 2))
    assert found.row.tolist() == meant.nonzero()[0].tolist()
    assert (found.until_ns - found.from_ns == 300 * MS).all()
    assert (found.from_ns == found.from_ns[[found.row.tolist().index(r) for r in
            OVERLAY.reverse[found.row]]]).all()  # fmt: skip
    starts = sorted(set(found.from_ns.tolist()))
    assert starts == [10 * SECOND + i * 100 * MS for i in range(4)]
    assert occurrence.end_ns == 10 * SECOND + 3 * 100 * MS + 300 * MS


def test_a_storms_order_is_drawn() -> None:
    """Another seed gives another order of the same tunnels."""
    orders = {compiled(storm(), seed=s).occurrences[0].rows for s in range(5)}
    assert len(orders) > 1
    assert len({frozenset(order) for order in orders}) == 1


def test_a_storm_cut_short_mutes_only_so_long() -> None:
    """``for`` ends a storm: tunnels not yet reached stay as they are."""
    fault = replace(storm("berlin", "mpls"), schedule=Schedule(at_ns=10 * SECOND, for_ns=250 * MS))
    found = mutes(compiled(fault), OVERLAY)
    assert len(found.row) == 6
    assert found.until_ns.max() == 10 * SECOND + 250 * MS


def test_a_storm_needs_tunnels() -> None:
    """Sites without a tunnel over the transport cannot rekey it."""
    network = make_network(without=[(site, "lte") for site in SITES if site != "rome"])
    fault = storm("rome", "lte")
    with pytest.raises(FaultError, match="no tunnel"):
        compile_faults(make_scenario(fault), network, 1)


def test_no_storm_no_mutes() -> None:
    """Other faults mute no tunnel."""
    assert len(mutes(compiled(make_fault()), OVERLAY).row) == 0


# ---------------------------------------------------------------- carriers' view


def test_carriers_see_cuts_and_not_blackholes() -> None:
    """Exactly the kinds that break a cable are seen by the provider."""
    seen = set()
    for kind in FaultKind:
        timeline = compiled(sample(kind))
        if any(hard_down(timeline, NETWORK.underlay.links, t) for t in range(2)):
            seen.add(str(kind))
    assert seen == {"link-down", "flapping", "shared-risk-cut", "provider-outage"}


def test_overlapping_cuts_are_counted() -> None:
    """A link cut twice comes back when the second cut ends; each transport sees its own links."""
    cut = Selector(groups=("conduit",))
    faults = [
        make_fault(FaultKind.SHARED_RISK_CUT, "a", select=cut,
                   schedule=Schedule(at_ns=10 * SECOND, for_ns=10 * SECOND)),
        make_fault(FaultKind.LINK_DOWN, "b", select=Selector(links=("mpls:n0-n1",)),
                   schedule=Schedule(at_ns=15 * SECOND, for_ns=10 * SECOND)),
        make_fault(FaultKind.LINK_DOWN, "c", select=Selector(links=("mpls:n1-n2",)),
                   schedule=Schedule(at_ns=40 * SECOND)),
    ]  # fmt: skip
    network = make_network(groups={"conduit": (20, 21, 26, 27)})
    names = network.underlay.links.names
    assert [names[i] for i in (20, 26)] == ["mpls:n0-n1", "lte:n0-n1"]
    timeline = compile_faults(make_scenario(*faults), network, 1)
    # The cut and the longer link-down are one outage of the same two links.
    assert hard_down(timeline, network.underlay.links, 0) == [
        (10 * SECOND, 25 * SECOND, frozenset({20, 21})),
        (40 * SECOND, NEVER, frozenset({22, 23})),
    ]
    assert hard_down(timeline, network.underlay.links, 1) == [
        (10 * SECOND, 20 * SECOND, frozenset({26, 27}))
    ]


def test_no_fault_no_outage() -> None:
    """An empty timeline has no outage."""
    assert hard_down(compiled(), NETWORK.underlay.links, 0) == []


# ---------------------------------------------------------------- warnings


def warnings(*faults: FaultSpec, duration_ns: int = 60 * SECOND) -> list[str]:
    """Return what is suspicious about faults."""
    return list(compiled(*faults, duration_ns=duration_ns).warnings)


def test_a_sound_scenario_has_no_warning() -> None:
    """Each kind alone, in good time and with an effect, raises no suspicion."""
    for kind in FaultKind:
        assert warnings(sample(kind)) == []


def test_never_happens() -> None:
    """A fault whose time comes after the end is named."""
    late = make_fault(schedule=Schedule(at_ns=60 * SECOND))
    assert warnings(late) == ["f never happens before the end at 60.000 s"]


def test_too_late_to_be_noticed() -> None:
    """A blackout shorter before the end than the detect time (wan: 300 ms) cannot be seen."""
    at = 60 * SECOND - 299 * MS
    assert warnings(make_fault(schedule=Schedule(at_ns=at))) == [
        "f#0 begins 0.299 s before the end, but takes 0.300 s to be noticed"
    ]
    assert warnings(make_fault(schedule=Schedule(at_ns=at - MS))) == []
    loss = make_fault(FaultKind.LOSS, schedule=Schedule(at_ns=at), loss_ppm=1)
    assert "takes 1.000 s" in warnings(loss)[0]


def test_a_flapping_end_warns_once() -> None:
    """Of many late occurrences of one fault the first one is named."""
    flaps = make_fault(FaultKind.FLAPPING, schedule=Schedule(), down_ns=50 * MS, up_ns=50 * MS)
    assert len(warnings(flaps)) == 1


def test_a_limit_above_the_links_own_changes_nothing() -> None:
    """A rate or MTU that no link exceeds is named once; one below is fine."""
    often = Schedule(at_ns=SECOND, for_ns=SECOND, every_ns=5 * SECOND, times=3)
    idle = make_fault(FaultKind.RATE, schedule=often, rate_bps=100_000_000)
    assert warnings(idle) == ["f changes nothing: the links' own limit is not above 100000000"]
    assert warnings(replace(idle, rate_bps=99_999_999)) == []
    assert len(warnings(make_fault(FaultKind.MTU_BLACKHOLE, mtu=1500))) == 1


def test_hidden_by_a_crash() -> None:
    """What lies wholly beneath a crash in objects and time is named; what sticks out is not."""
    crash = make_fault(FaultKind.SITE_CRASH, "crash")
    beneath = make_fault(FaultKind.LOSS, "beneath", loss_ppm=1)
    agent = make_fault(FaultKind.AGENT_KILL, "agent")
    longer = make_fault(FaultKind.LOSS, "longer", loss_ppm=2, schedule=Schedule(at_ns=15 * SECOND))
    wider = make_fault(FaultKind.LOSS, "wider", loss_ppm=3, select=Selector(transports=("mpls",)))
    assert warnings(crash, beneath, agent, longer, wider) == [
        "agent#0 is hidden by crash#0 all the time",
        "beneath#0 is hidden by crash#0 all the time",
    ]


def test_identical_faults_that_overlap() -> None:
    """The same effect on the same object at the same time is named once a pair."""
    first = make_fault(FaultKind.LOSS, "a", loss_ppm=5)
    same = replace(first, name="b", select=Selector(transports=("mpls",)))
    assert warnings(first, same) == ["b#0 overlaps a#0, which does the same there"]
    assert warnings(first, replace(same, loss_ppm=6)) == []
    assert warnings(first, replace(same, select=Selector(sites=("oslo",)))) == []
    after = Schedule(at_ns=20 * SECOND, for_ns=SECOND)
    assert warnings(first, replace(same, schedule=after)) == []


def test_a_fault_that_overlaps_itself() -> None:
    """Repeating before it is undone is named once, also when it is never undone."""
    often = make_fault(schedule=Schedule(at_ns=0, every_ns=SECOND, times=0))
    assert warnings(often)[0] == "f#1 overlaps f#0, which does the same there"
    assert len(warnings(often)) == 1
    agents = make_fault(FaultKind.HALF_CONFIG, "p", schedule=often.schedule, policy=Policy())
    assert len(warnings(agents)) == 1


# ---------------------------------------------------------------- in words


def test_describe_shows_matches_and_warnings() -> None:
    """A line a fault with what its selector matched and when, then the warnings."""
    timeline = compiled(
        make_fault(FaultKind.DRAIN, "drain", select=Selector(sites=("spokes",)),
                   schedule=Schedule(at_ns=30 * SECOND)),
        make_fault(name="hole", select=Selector(sites=("berlin",), transports=("mpls",))),
        make_fault(name="late", schedule=Schedule(at_ns=99 * SECOND)),
    )  # fmt: skip
    hole, drain, late = describe(timeline, NETWORK)
    assert hole == (
        "hole: blackhole on access:berlin:mpls (2 directed links: access:berlin:mpls), "
        "10.000 s until 20.000 s"
    )
    assert drain == (
        "drain: drain on site:berlin, site:oslo, site:rome (3 sites: berlin, oslo, rome; "
        "over mpls, lte), 30.000 s until the end"
    )
    assert late == "warning: late never happens before the end at 60.000 s"


def test_describe_counts_what_happens_often() -> None:
    """A fault that happens many times is one line with its first times."""
    often = Schedule(at_ns=0, for_ns=SECOND, every_ns=2 * SECOND, times=8)
    (line,) = describe(compiled(make_fault(schedule=often)), NETWORK)
    assert line.endswith("6.000 s until 7.000 s, 8.000 s until 9.000 s and 3 more times")


def test_describe_shows_tunnels() -> None:
    """A storm lists the tunnels that fall mute, in their order."""
    timeline = compiled(storm("berlin", "mpls"))
    (line,) = describe(timeline, NETWORK)
    first = OVERLAY.label(timeline.occurrences[0].rows[0])
    assert f"(1 site: berlin; over mpls; 4 tunnels: {first}, " in line


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("link-down", PPM), ("loss", 10_000), ("burst-loss", 90_909), ("delay", 10 * MS),
        ("jitter", MS), ("corruption", 10_000), ("rate", 10_000_000), ("mtu-blackhole", 1200),
        ("clock-jump", -SECOND), ("agent-kill", 0), ("drain", 0), ("half-applied-config", 1),
        ("site-crash", PPM), ("rekey-storm", PPM), ("lan-down", PPM), ("reordering", 10_000),
    ],
)  # fmt: skip
def test_commanded_values(kind: str, value: int) -> None:
    """The commanded figure is in the unit of the quantity that verifies the kind."""
    # 90,909: a bad share of 0.1 / 1.1 of total loss.
    assert commanded(sample(FaultKind(kind))) == value

"""Every kind of fault is verified at the receiver; one that does not act is found out."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine.units import MS, NEVER, PPM, SECOND
from patronus.sim.faults.effects import effects
from patronus.sim.gauging.company import EVERY, Company, Ways
from patronus.sim.gauging.evidence import (
    NO,
    UNOBSERVED,
    YES,
    Count,
    Shares,
    Shift,
    Weighted,
    band_ppm,
    burst_mean_ppm,
    burst_slack_ppm,
    tell,
    weigh,
)
from patronus.sim.gauging.gauge import Gauge
from patronus.sim.gauging.shots import Shots, choose, fire
from patronus.sim.gauging.spans import Patience, Span, patience_of, spans_of
from patronus.sim.scenario import Burst, FaultKind, FaultSpec, Schedule, Selector
from patronus.sim.timeline import Occurrence, Timeline
from patronus.sim.world import World
from tests.sim import faultyard

KINDS = sorted(FaultKind)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_that_acts_and_is_undone_is_verified(kind: FaultKind) -> None:
    """What was commanded is measured while it lasts, and nothing of it before and after."""
    assert faultyard.sound()[str(kind)].verified == YES


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_without_effect_is_found_out(kind: FaultKind) -> None:
    """The timeline says that there is a fault, the network does not know of it."""
    assert faultyard.inert()[str(kind)].verified == NO


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_that_is_not_undone_is_found_out(kind: FaultKind) -> None:
    """The fault acts as commanded, and goes on after its end."""
    assert faultyard.lingering()[str(kind)].verified == NO


def test_what_is_measured_is_what_was_commanded() -> None:
    """The readings of a sound run are near the commanded values, in their own units."""
    found = faultyard.sound()
    assert found["blackhole"].during == found["lan-down"].during == PPM
    assert found["loss"].during == pytest.approx(51_000, rel=0.25)
    assert found["delay"].during == pytest.approx(40 * MS, rel=0.01)
    assert found["jitter"].during == pytest.approx(30 * MS, rel=0.15)
    assert found["clock-jump"].during == pytest.approx(-7 * SECOND, rel=0.001)
    assert (found["rate"].before, found["rate"].during) == (2_000_000, 1_000_000)
    assert (found["mtu-blackhole"].before, found["mtu-blackhole"].during) == (1500, 1200)
    assert found["agent-kill"].during == found["drain"].during == 0 < found["drain"].before


def test_readings_do_not_depend_on_slots() -> None:
    """Every kind is measured alike, to the last packet, when slots are of 20 ms."""
    narrow = World(faultyard.scenario(*faultyard.FAULTS), 1, slot_ns=20 * MS)
    assert faultyard.readings(narrow) == faultyard.sound()


def test_gauges_change_nothing() -> None:
    """The journal and the probes are bit-equal with the gauges taken out."""
    faults = [f for f in faultyard.FAULTS if f.kind in (FaultKind.LOSS, FaultKind.DRAIN)]
    runs = [World(faultyard.scenario(*faults), 3) for _ in range(2)]
    runs[1].gauges.end = lambda *_: None  # type: ignore[method-assign]  # taken out
    runs[1].gauges.sample = lambda *_: None  # type: ignore[method-assign]  # taken out
    for world in runs:
        world.run()
    with_gauges, without = ((w.engine.journal.journal_sha256, w.prober.lost) for w in runs)
    assert with_gauges == without
    assert runs[0].engine.journal.count > 0


# ---------------------------------------------------------------- unobserved is a state


def _lossy(name: str, loss_ppm: int, *, at_ns: int = 2 * SECOND, for_ns: int) -> FaultSpec:
    select = Selector(sites=("w2",), transports=("a",))
    schedule = Schedule(at_ns=at_ns, for_ns=for_ns)
    return FaultSpec(name, FaultKind.LOSS, select, schedule, loss_ppm=loss_ppm)


def _verified(*faults: FaultSpec) -> dict[str, str]:
    world = World(replace(faultyard.scenario(*faults), duration_ns=4 * SECOND), 1)
    return {name: r.verified for name, r in faultyard.readings(world).items()}


def test_too_few_packets_leave_it_open() -> None:
    """A tenth of a per cent for a tenth of a second cannot be told from nothing."""
    assert _verified(_lossy("slight", 1_000, for_ns=100 * MS)) == {"slight": UNOBSERVED}


def test_a_fault_beneath_another_one_is_not_observed() -> None:
    """Two faults on one link at one time: what is lost proves neither of them."""
    both = _lossy("one", 300_000, for_ns=SECOND), _lossy("other", 300_000, for_ns=SECOND)
    assert _verified(*both) == {"one": UNOBSERVED, "other": UNOBSERVED}


def test_faults_of_different_quantities_do_not_hide_each_other() -> None:
    """Delay and loss on one link at one time are both verified."""
    late = replace(faultyard.FAULTS[4], select=Selector(sites=("w2",), transports=("a",)))
    late = replace(late, schedule=Schedule(at_ns=2 * SECOND, for_ns=SECOND))
    both = _verified(_lossy("lossy", 100_000, for_ns=SECOND), late)
    assert both == {"lossy": YES, "delay": YES}


def test_few_tunnels_carry_more_packets() -> None:
    """A fault that two tunnels cross is measured with as many packets as one that hundreds do."""
    world = World(faultyard.scenario(faultyard.FAULTS[2]), 1)
    company = Company(world.timeline, world.overlay)
    occurrence = world.timeline.occurrences[0]
    field = choose(occurrence, world.wire, company, 1, from_ns=0, until_ns=1, kinds=EVERY)
    two = replace(field, keys=field.keys[:2])
    assert two.pace_ns == MS
    assert replace(field, keys=np.zeros(64, dtype=np.uint64)).pace_ns == 20 * MS


def test_a_fault_that_is_never_undone_needs_no_second_look() -> None:
    """A fault that lasts to the end of the run is verified by what it did."""
    assert _verified(_lossy("lasting", 300_000, for_ns=NEVER)) == {"lasting": YES}


# ---------------------------------------------------------------- evidence


def test_two_times_join_to_one_verdict() -> None:
    """One no is enough for no; yes takes both, or the first alone where nothing is undone."""
    values = (0, 1, 0)
    assert tell(values, YES, YES).verified == tell(values, YES, None).verified == YES
    assert tell(values, NO, YES).verified == tell(values, UNOBSERVED, NO).verified == NO
    assert tell(values, YES, UNOBSERVED).verified == UNOBSERVED
    assert tell(values, UNOBSERVED, None).verified == UNOBSERVED
    assert [weigh(True, False), weigh(True, True), weigh(False, True)] == [YES, UNOBSERVED, NO]


def test_the_band_is_that_of_a_binomial() -> None:
    """3.29 standard deviations of 10,000 packets at 10 % are 0.987 %, and one packet."""
    assert band_ppm(100_000, 10_000) == pytest.approx(9_870 + 100, abs=10)
    assert band_ppm(PPM, 10) == 0, "a certainty has no band"


@given(effect=st.integers(0, PPM), packets=st.integers(1, 100_000), before=st.integers(1, 100_000))
def test_the_exact_share_always_fits(effect: int, packets: int, before: int) -> None:
    """A count that is as expected fits the effect; one of nothing fits nothing."""
    shares = Shares(effect)
    hits = -(-packets * effect // PPM)
    assert shares.judge(Count(before, 0), Count(packets, hits), SECOND)[0]
    assert shares.judge(Count(before, 0), Count(packets, 0), SECOND)[1]


@given(st.integers(1, 10_000), st.integers(0, 50))
def test_a_blackhole_lets_nothing_through(packets: int, through: int) -> None:
    """One packet that arrives denies a fault that lets none arrive."""
    through = min(through, packets)
    fits, _ = Shares(PPM).judge(Count(500, 0), Count(packets, packets - through), SECOND)
    assert fits == (through == 0)


@given(st.integers(0, PPM), st.integers(2, 50_000), st.integers(0, PPM))
def test_more_packets_never_blur(share_ppm: int, packets: int, less: int) -> None:
    """The band of a share does not widen as packets are added."""
    assert band_ppm(share_ppm, packets) <= band_ppm(share_ppm, 1 + less % packets)


def test_a_shift_is_there_or_not() -> None:
    """A shift fits its effect to a tenth, and none only within the noise."""
    shift = Shift(40 * MS)
    assert shift.judge(40 * MS, MS) == (True, False)
    assert shift.judge(30 * MS, MS) == (False, False)
    assert shift.judge(0, MS) == (False, True)
    assert Shift(MS).judge(MS, 2 * MS) == (True, True)


def test_bursts_widen_what_is_allowed() -> None:
    """Bursts push a share by their variance over the span: less the longer it is."""
    burst = Burst(gap_ns=900 * MS, length_ns=100 * MS, loss_ppm=PPM)
    one, half = [Weighted(PPM, burst)], [Weighted(PPM // 2, burst)] * 2
    assert burst_mean_ppm(one) == 100_000
    # variance 2 x 0.1 x 0.9 x 0.09 s / 90 s: a deviation of 0.01342, times 3.29
    assert burst_slack_ppm(one, 90 * SECOND) == pytest.approx(44_140, rel=0.01)
    assert burst_slack_ppm(one, 9 * SECOND) > burst_slack_ppm(one, 90 * SECOND)
    assert burst_slack_ppm(half, 90 * SECOND) == pytest.approx(44_140 / 2**0.5, rel=0.01)
    shares = Shares(0, native=(Weighted(PPM, burst),))
    assert shares.judge(Count(1000, 0), Count(1000, 200), 9 * SECOND)[1], "a burst may do that"


# ---------------------------------------------------------------- times, tunnels, packets


def _occurrence(start_ns: int, end_ns: int, kind: FaultKind = FaultKind.LOSS) -> Occurrence:
    burst = Burst(500 * MS, 500 * MS, PPM) if kind is FaultKind.BURST_LOSS else None
    spec = FaultSpec("f", kind, Selector(), Schedule(), burst=burst)
    return Occurrence(spec, 0, start_ns, end_ns)


def test_a_fault_is_measured_two_seconds_around_it() -> None:
    """Before and after take two seconds at most; what runs over the end of the run is cut."""
    spans = spans_of(_occurrence(10 * SECOND, 19 * SECOND), Patience(), 20 * SECOND)
    assert spans.before == Span(8 * SECOND, 10 * SECOND)
    assert spans.during == Span(10 * SECOND, 15 * SECOND)
    assert spans.after == Span(19 * SECOND, 20 * SECOND)
    lasting = spans_of(_occurrence(10 * SECOND, NEVER), Patience(), 20 * SECOND)
    assert lasting.after.from_ns == lasting.after.until_ns, "there is no afterwards"


def test_bursts_are_waited_for() -> None:
    """A fault in bursts is watched for twelve of their periods before and after."""
    assert patience_of(_occurrence(0, SECOND, FaultKind.BURST_LOSS)).span_ns == 12 * SECOND


def _packets(shots: Shots) -> set[tuple[int, int]]:
    sent, word = shots.sent_ns[shots.inside], shots.word[shots.inside]
    return set(zip(sent.tolist(), word.tolist(), strict=True))


def test_packets_do_not_depend_on_slots() -> None:
    """A tunnel's test packets have the same times and luck however time is cut."""
    world = World(faultyard.scenario(faultyard.FAULTS[2]), 1)
    company = Company(world.timeline, world.overlay)
    world.wire.begin(0, 100 * MS)
    field = choose(
        world.timeline.occurrences[0], world.wire, company, 1,
        from_ns=0, until_ns=SECOND, kinds=EVERY,
    )  # fmt: skip
    whole = fire(field, world.wire, 0, 100 * MS)
    parts = [fire(field, world.wire, t * MS, (t + 1) * MS) for t in range(100)]
    at_once, by_parts = _packets(whole), set[tuple[int, int]]().union(*map(_packets, parts))
    assert at_once == by_parts
    assert len(at_once) == pytest.approx(len(field.keys) * 100 * MS / field.pace_ns, rel=0.1)


def test_tunnels_that_meet_nobody_else_come_first() -> None:
    """Of the tunnels through a hit link those are chosen that no other fault disturbs."""
    world = World(faultyard.scenario(*faultyard.FAULTS), 1)
    company = Company(world.timeline, world.overlay)
    world.wire.begin(0, 100 * MS)
    loss = next(o for o in world.timeline.occurrences if o.fault.kind is FaultKind.LOSS)
    field = choose(loss, world.wire, company, 1, from_ns=0, until_ns=5 * SECOND, kinds=EVERY)
    crowd = company.crowd(field.ways, 0, 5 * SECOND, EVERY)
    rows = world.wire.rows_of(np.array(loss.links, dtype=np.int64))
    everybody = company.crowd(Ways(rows, world.wire.links_of(rows)), 0, 5 * SECOND, EVERY)
    assert len(rows) <= 64 or crowd.max() <= np.sort(everybody)[63]
    assert (field.crossed == 1).all()


def test_a_damaged_packet_reaches_the_receiver() -> None:
    """Damaged packets are those that corruption alone takes, in its share of the rest."""
    corrupt = next(f for f in faultyard.FAULTS if f.kind is FaultKind.CORRUPTION)
    lossy = replace(corrupt, name="lossy", kind=FaultKind.LOSS, loss_ppm=500_000)
    world = World(faultyard.scenario(replace(corrupt, loss_ppm=200_000), lossy), 1)
    start = faultyard.START_NS
    world.wire.begin(start, start + 100 * MS)
    rows = world.wire.rows_of(np.array(world.timeline.occurrences[0].links[:1], dtype=np.int64))
    rows = np.repeat(rows[:1], 20_000)
    word = np.random.default_rng(1).integers(0, 2**64, len(rows), dtype=np.uint64)
    sent = np.full(len(rows), start + MS, dtype=np.int64)
    damaged = world.wire.damaged(rows, sent, word)
    arrived, _ = world.wire.deliver(rows, sent, word, np.full(len(rows), 100, dtype=np.int64))
    assert not (damaged & (arrived != NEVER)).any(), "what is damaged is delivered to nobody"
    assert damaged.mean() == pytest.approx(0.5 * 0.2, rel=0.05)
    world.wire.effects = effects(Timeline((), (), NEVER), world.underlay.links, 1)
    assert not world.wire.damaged(rows, sent, word).any()


def test_announcements_need_time_to_be_missed() -> None:
    """Silence proves an agent's absence only when it lasts longer than announcers wait."""
    kill = next(f for f in faultyard.FAULTS if f.kind is FaultKind.AGENT_KILL)
    brief = replace(kill, schedule=Schedule(at_ns=2 * SECOND, for_ns=500 * MS))
    world = World(replace(faultyard.scenario(brief), duration_ns=5 * SECOND), 1)
    reading = faultyard.readings(world)["agent-kill"]
    assert reading.before > 0 == reading.during < reading.after
    assert reading.verified == UNOBSERVED


def test_every_quantity_has_a_gauge() -> None:
    """No occurrence of any kind is left without somebody who reads it."""
    world = World(faultyard.scenario(*faultyard.FAULTS), 1)
    gauges = world.gauges._gauges
    assert set(gauges) == {f.name for f in faultyard.FAULTS}
    assert all(isinstance(g, Gauge) for g in gauges.values())
    assert all(world.gauges.reading(o).verified == UNOBSERVED for o in world.timeline.occurrences)

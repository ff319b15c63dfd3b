"""What a probe meets in a loss burst is what the wire makes of it."""

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from patronus.engine.overlay import I64
from patronus.engine.policy import LivenessProfile
from patronus.engine.units import MS, NEVER, SECOND
from patronus.sim.compiled import fates
from patronus.sim.gusts import Gusts, gusts
from patronus.sim.scenario import Burst, LinkProfile, TransportSpec
from patronus.sim.slumber import Luck
from patronus.sim.wire import WINDOW_NS, Wire
from patronus.sim.world import World
from tests.sim.compiled import test_dozing as calm
from tests.sim.compiled.interpreted import fails, interpreted

BURST = Burst(gap_ns=SECOND, length_ns=150 * MS, loss_ppm=300_000)
LINE = LinkProfile(delay_ns=30 * MS, jitter_ns=5 * MS, loss_ppm=5_000, rate_bps=10**8, burst=BURST)
CORE = LinkProfile(delay_ns=5 * MS, rate_bps=10**9, burst=replace(BURST, loss_ppm=90_000))
END_NS = 6 * SECOND


def world(seed: int) -> World:
    """Return a world whose links have bursts, some of them several at once."""
    drawn = calm.scenario()
    transports = tuple(
        TransportSpec(name, LINE, LINE, core, provider="star")
        for name, core in (("quiet", CORE), ("far", calm.CORE))
    )
    liveness = {
        "quiet": LivenessProfile("often", 60 * MS, 5),
        "far": LivenessProfile("quick", 130 * MS, 6),
    }
    policy = replace(drawn.policy, liveness=liveness)
    return World(replace(drawn, transports=transports, policy=policy), seed)


def settled(there: World) -> Wire:
    """Return a wire that knows what each row's links do usually."""
    wire = there.wire
    for start_ns in range(-8 * SECOND, 0, WINDOW_NS):
        wire.begin(start_ns, start_ns + WINDOW_NS)
    assert wire.delay_ns.all()
    return wire


class Fates:
    """What wires make of the probes of a few seconds."""

    def __init__(self, seed: int) -> None:
        there = world(seed)
        self.wire, probes = settled(there), there.prober.probes
        sky = self.wire.sky
        self.luck = Luck(sky.keys, *probes, sky.out, sky.home)
        self.rows = np.arange(there.overlay.rows, dtype=np.int64)
        self.gusts = gusts(self.wire, 0, END_NS + SECOND, np.zeros(len(self.rows), dtype=np.bool_))

    def truth(self, ordinal: int) -> tuple[I64, I64]:
        """Return when the probes of an ordinal arrive and are back, by row."""
        sent_ns = ordinal * self.luck.interval_ns + self.luck.phase_ns
        there, back = np.empty((2, len(self.rows)), dtype=np.int64)
        for row, at_ns in zip(self.rows.tolist(), sent_ns.tolist(), strict=True):
            one, start_ns = slice(row, row + 1), at_ns - at_ns % WINDOW_NS
            self.wire.begin(start_ns, start_ns + WINDOW_NS)
            word = self.wire.word(one, ordinal)
            self.wire.outward(one, sent_ns[one], word, there[one])
            self.wire.homeward(one, there[one], word, back[one])
        return there, back

    def with_foul(self, foul: bool) -> Gusts:
        """Return the gusts, with rows that faults touch or not."""
        return self.gusts._replace(foul=np.full(len(self.rows), foul))


def is_that_of_the_wire(passes: ModuleType, seed: int) -> None:
    """Ask for the fates of probes, among which some are lost in bursts."""
    known = Fates(seed)
    lost = survived = 0
    for ordinal in range(3, 40):
        there, back = known.truth(ordinal)
        told = np.empty((4, len(known.rows)), dtype=np.int64)
        passes.aloft(known.rows, ordinal, known.luck, known.gusts, told[0], told[1])
        assert told[0].tolist() == there.tolist()
        assert told[1].tolist() == back.tolist()
        passes.aloft(known.rows, ordinal, known.luck, known.with_foul(True), told[2], told[3])
        spared = told[3] != NEVER
        assert told[3][spared].tolist() == back[spared].tolist(), "bursts only take"
        lost += int((back == NEVER).sum())
        survived += int(((back != NEVER) & ~spared).sum())
    assert lost > 20
    assert survived > 20, "a burst on a foul row is the end of each probe that meets it"


def holds_as_long_as_it_says(passes: ModuleType, seed: int) -> None:
    """A limit of loss is the same until the time that is told, and another one then."""
    known = Fates(seed)
    seen = set[int]()
    for row in known.rows[:6].tolist():
        at_ns, before = 0, -1
        while at_ns < END_NS:
            usual = int(known.wire.limit[row])
            limit, until_ns = passes.limit_at(row, at_ns, usual, known.gusts)
            assert until_ns > at_ns
            assert limit != before or limit > usual, "two bursts may follow upon each other"
            last = min(until_ns, END_NS) - 1
            assert passes.limit_at(row, last, usual, known.gusts)[0] == limit
            seen.add(limit)
            at_ns, before = until_ns, limit
    assert len(seen) > 2


def test_fates_in_bursts() -> None:
    """A probe is lost, or in time, whichever of its links has bursts, and however many."""
    for seed in range(2):
        is_that_of_the_wire(fates, seed)
        holds_as_long_as_it_says(fates, seed)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("survive, blows = survive * keep_ppm[link] // PPM, True",
         "survive, blows = keep_ppm[link], True"),
        ("for place in range(-1, route.shape[1] + 1):", "for place in range(route.shape[1] + 1):"),
        ("for place in range(-1, route.shape[1] + 1):", "for place in range(-1, route.shape[1]):"),
        ("if until_ns[period] > at_ns:", "if until_ns[period] >= at_ns + 50_000_000:"),
        ("holds_ns = min(holds_ns, from_ns[period])", "pass"),
        ("holds_ns = min(holds_ns, until_ns[period])", "pass"),
        ("np.int64(gusts[10][row]), there,", "np.int64(row), there,"),
        ("if foul[row]:", "if False:"),
        ("limit, _ = limit_at(row, sent, np.int64(out[2][row]), gusts)",
         "limit = np.int64(out[2][row])"),
        ("there = sent + out[0][row] + _noise_ns(word >> _S12, out[1][row])",
         "there = sent + out[0][row] + _noise_ns(word, out[1][row])"),
        ("back_ns[place] = NEVER if gone or lost else back",
         "back_ns[place] = NEVER if lost else back"),
    ],
)  # fmt: skip
def test_mutants(old: str, new: str) -> None:
    """The properties notice each broken pass, and do not object to the sound one."""
    with np.errstate(over="ignore"):
        broken = interpreted(fates, old, new)
        assert any(
            fails(holds, broken, seed)
            for seed in range(2)
            for holds in (is_that_of_the_wire, holds_as_long_as_it_says)
        )


def test_bursts_leave_nothing_to_fold() -> None:
    """What links do usually is the same after a burst, so no row needs a look for it."""
    wire = settled(world(9))
    usual = [field.copy() for field in (*wire.sky.out, *wire.sky.home)]
    found = 0
    for start_ns in range(0, 4 * SECOND, WINDOW_NS):
        assert not len(wire.survey(start_ns, start_ns + WINDOW_NS))
        found += len(wire.lively)
        wire.fold()
    assert found > 0
    for before, now in zip(usual, (*wire.sky.out, *wire.sky.home), strict=True):
        assert np.array_equal(before, now)

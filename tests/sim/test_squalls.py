"""Whoever sleeps through a loss burst loses nothing in it."""

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from patronus.engine.overlay import I64
from patronus.engine.policy import LivenessProfile
from patronus.engine.units import MS, NEVER, SECOND
from patronus.sim.compiled import striking
from patronus.sim.scenario import Burst, LinkProfile, TransportSpec
from patronus.sim.sleepers import Luck
from patronus.sim.squalls import squalls
from patronus.sim.wire import WINDOW_NS, Wire
from patronus.sim.world import World
from tests.sim.compiled import test_dozing as calm
from tests.sim.compiled.interpreted import fails, interpreted

BURST = Burst(gap_ns=SECOND, length_ns=150 * MS, loss_ppm=300_000)
LINE = LinkProfile(delay_ns=30 * MS, jitter_ns=5 * MS, loss_ppm=5_000, rate_bps=10**8, burst=BURST)
CORE = LinkProfile(delay_ns=5 * MS, rate_bps=10**9, burst=replace(BURST, loss_ppm=90_000))


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


def fates(wire: Wire, luck: Luck, rows: I64) -> tuple[I64, I64]:
    """Return rows that lose a probe sent in the window, and rows that lose none."""
    lost = np.zeros(len(rows), dtype=np.bool_)
    interval_ns, phase_ns = luck.interval_ns[rows], luck.phase_ns[rows]
    first = -((phase_ns - wire.start_ns) // interval_ns)
    for more in range(3):
        for ordinal in np.unique(first + more).tolist():
            sent_ns = ordinal * interval_ns + phase_ns
            at = np.flatnonzero((first + more == ordinal) & (sent_ns < wire.end_ns))
            word = wire.word(rows[at], ordinal)
            there, back = np.empty((2, len(at)), dtype=np.int64)
            wire.outward(rows[at], sent_ns[at], word, there)
            wire.homeward(rows[at], there, word, back)
            lost[at] |= back == NEVER
    return rows[lost], rows[~lost]


def spares_nobody_who_loses(passes: ModuleType, seed: int) -> None:
    """Ask in each window whom its bursts strike."""
    there = world(seed)
    wire, probes = settled(there), there.prober.probes
    luck = Luck(wire.sky.keys, *probes, wire.sky.out, wire.sky.home)
    losing = told = spared = 0
    for start_ns in range(0, 12 * SECOND, WINDOW_NS):
        wire.begin(start_ns, start_ns + WINDOW_NS)
        rows, hit = wire.squally, np.ones(len(wire.squally), dtype=np.bool_)
        span = wire.start_ns, wire.end_ns
        passes.struck(rows, span, luck, squalls(wire), hit)
        lose, keep = fates(wire, luck, rows)
        assert np.isin(lose, rows[hit]).all()
        losing, told, spared = losing + len(lose), told + int(hit.sum()), spared + len(keep)
    assert losing > 20
    assert spared > 20
    assert told < losing * 5 // 4, "hardly anybody is told for nothing"


def test_nobody_who_loses_is_spared() -> None:
    """A probe or its reflection that bursts let vanish is foreseen, whichever links have them."""
    for seed in range(3):
        spares_nobody_who_loses(striking, seed)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("more += limit[link]", "more = limit[link]"),
        ("for place in range(-1, route.shape[1] + 1):", "for place in range(route.shape[1] + 1):"),
        ("for place in range(-1, route.shape[1] + 1):", "for place in range(-1, route.shape[1]):"),
        ("from_ns[period] <= at_ns < until_ns[period]", "from_ns[period] < at_ns - 10_000_000"),
        ("from_ns[period] <= at_ns < until_ns[period]", "True"),
        ("_worse(np.int64(reverse[row]), there, squalls)", "_worse(row, there, squalls)"),
        ("_worse(np.int64(reverse[row]), there, squalls)", "0"),
        ("np.int64(there_of[2]) + _worse", "_worse"),
        ("n = -((begin - span[0]) // step)", "n = -((begin - span[0]) // step) + 1"),
        ("while n * step + begin < span[1]:", "while n * step + begin < span[0] + step:"),
    ],
)  # fmt: skip
def test_mutants(old: str, new: str) -> None:
    """The property notices each broken pass, and does not object to the sound one."""
    with np.errstate(over="ignore"):
        broken = interpreted(striking, old, new)
        assert any(fails(spares_nobody_who_loses, broken, seed) for seed in range(3))


def test_bursts_leave_nothing_to_fold() -> None:
    """What links do usually is the same after a burst, so no row needs a look for it."""
    wire = settled(world(9))
    usual = [field.copy() for field in (*wire.sky.out, *wire.sky.home)]
    found = 0
    for start_ns in range(0, 4 * SECOND, WINDOW_NS):
        assert not len(wire.survey(start_ns, start_ns + WINDOW_NS))
        found += len(wire.squally)
        wire.fold()
    assert found > 0
    for before, now in zip(usual, (*wire.sky.out, *wire.sky.home), strict=True):
        assert np.array_equal(before, now)

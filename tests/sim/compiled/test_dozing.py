"""A tunnel that is passed over is, row by row, what the engine makes of it probe by probe."""

from functools import lru_cache
from types import ModuleType
from typing import Any, Final, NamedTuple

import numpy as np
import pytest

from patronus.engine import health
from patronus.engine.delayshift import LEVEL
from patronus.engine.overlay import I64
from patronus.engine.policy import LivenessProfile, Policy, SlaClass, TrafficClass
from patronus.engine.ranking import terms
from patronus.engine.units import MS, NEVER, PPM, SECOND
from patronus.sim.compiled import dozing, judging
from patronus.sim.instants import turns
from patronus.sim.scenario import LinkProfile, Scenario, SiteSpec, TopologySpec, TransportSpec
from patronus.sim.sleepers import Calendar, Known, Luck, Signs
from patronus.sim.wire import WINDOW_NS
from patronus.sim.world import World
from tests.sim.compiled.interpreted import Holds, fails, interpreted
from tests.sim.watching import watch

BEGIN_NS: Final = 6 * SECOND
"""From here on rows are passed over,"""
END_NS: Final = 18 * SECOND
"""at most to here."""

QUIET = LinkProfile(delay_ns=8 * MS, jitter_ns=6 * MS, loss_ppm=150, rate_bps=10**8)
FAR = LinkProfile(delay_ns=60 * MS, jitter_ns=6 * MS, loss_ppm=900, rate_bps=10**8)
"""Half a dozen probes are under way at any time."""
CORE = LinkProfile(rate_bps=10**9)
LIVENESS = {
    "quiet": LivenessProfile("often", 60 * MS, 5),
    "far": LivenessProfile("quick", 50 * MS, 6),
}


def scenario() -> Scenario:
    """Return an overlay in which nothing happens but what its lines do of themselves."""
    classes = (
        TrafficClass("voice", sla=SlaClass(latency_ns=150 * MS, jitter_ns=8 * MS, loss_ppm=9_000)),
        TrafficClass("rest"),
    )
    return Scenario(
        "calm",
        TopologySpec(sites=tuple(SiteSpec(name) for name in ("berlin", "oslo", "rome", "paris"))),
        tuple(
            TransportSpec(name, line, line, CORE, provider="star")
            for name, line in (("quiet", QUIET), ("far", FAR))
        ),
        Policy(
            classes=classes, liveness=LIVENESS, evaluation_ns=500 * MS,
            margin_ns=6 * MS, margin_ppm=PPM // 5,
        ),
        duration_ns=END_NS + SECOND,
        warmup_ns=2 * SECOND,
    )  # fmt: skip


def arrays(world: World) -> dict[str, Any]:
    """Return what a walk moves; the arrays themselves, the last axis that of rows."""
    meters, ranking = world.engine.meters, world.engine.ranking
    columns, window, buckets = meters.columns, meters.window, meters.buckets
    fields = [f for f in range(len(columns.health)) if f != health.UPDATED]
    return {
        **{f"health {field}": columns.health[field] for field in fields},
        "due": columns.due,
        "delay": columns.delay[:LEVEL],  # the level means something in an alarm alone
        "seen": columns.seen,
        "opened": window.opened,
        "sums": window.sums,
        "ring": buckets.ring,
        "place": buckets.place,
        "age": buckets.age,
        "patience": buckets.patience,
        **dict(zip(buckets.epochs._fields, buckets.epochs, strict=True)),
        "now": ranking.metric_now,
        "smooth": ranking.metric_smooth,
        "published": ranking.metric_published,
        "verdict": ranking.verdict,
    }


class Life(NamedTuple):
    """What became of a world that was simulated probe by probe."""

    at: dict[int, dict[str, Any]]
    """What rows had come to, by time on the grid."""
    losses: frozenset[tuple[int, int]]
    """Rows and slots in which a probe is sent that gets lost, or its answer."""


@lru_cache
def life(seed: int) -> Life:
    """Simulate a world to its end."""
    world = World(scenario(), seed)
    seen, known = watch(world), {}

    def look(now_ns: int) -> None:
        known[now_ns] = {name: array.copy() for name, array in arrays(world).items()}

    world.run(progress=look)
    lost = (p for p in seen.probes if p.back_ns == NEVER)
    return Life(known, frozenset((p.row, p.sent_ns // WINDOW_NS) for p in lost))


class Sleeper:
    """A world at the time from which rows are passed over."""

    def __init__(self, passes: ModuleType, seed: int) -> None:
        self.passes, self.world = passes, World(scenario(), seed)
        world, engine, wire = self.world, self.world.engine, self.world.wire
        world.run(BEGIN_NS)
        probes = world.prober.probes
        sky, meters = wire.sky, engine.meters
        self.luck = Luck(sky.keys, *probes, sky.out, sky.home)
        rows = world.overlay.rows
        turn = turns(world.overlay, world.scenario.policy.evaluation_ns, seed)
        done = np.full(rows, BEGIN_NS, dtype=np.int64)
        window = (*meters.window[1:4], *meters.buckets)
        asked = terms(world.scenario.policy)
        assert asked is not None
        self.known = Known(
            meters.columns, window, engine.ranking.standing, asked,
            Calendar(done, turn[world.overlay.src]),
        )  # fmt: skip
        memory = world.prober.memory
        detect_ns = engine.tunnels.detect_ns
        signs = Signs(
            sky.lively, BEGIN_NS - SECOND, wire.usual_since_ns, np.zeros(rows, dtype=np.bool_),
            engine.state, memory.silent, (detect_ns, detect_ns.copy()),
            np.ones(len(world.overlay.sites), dtype=np.bool_),
            world.overlay.src, world.overlay.dst, memory.heard_count,
        )  # fmt: skip
        fit = np.zeros(rows, dtype=np.bool_)
        every = np.arange(rows, dtype=np.int64)
        passes.drowsy(every, BEGIN_NS, self.luck, self.known, signs, fit)
        self.rows: I64 = np.flatnonzero(fit)

    def walk(self, rows: I64, until_ns: int, *, write: bool) -> tuple[I64, I64]:
        """Take rows up to a time, or look how far they can be taken, and why no further."""
        told = np.zeros((2, len(rows)), dtype=np.int64)
        period_ns = self.world.scenario.policy.evaluation_ns
        times = until_ns, until_ns, WINDOW_NS, period_ns
        self.passes.doze(rows, times, self.luck, self.known, write, (told[0], told[1]))
        return told[0], told[1]


def passes_over(passes: ModuleType, seed: int) -> set[int]:
    """Take each row as far as it may be taken; return the reasons why no further."""
    sleeper = Sleeper(passes, seed)
    assert len(sleeper.rows) > 2
    before = {name: array.copy() for name, array in arrays(sleeper.world).items()}
    wake_ns, why = sleeper.walk(sleeper.rows, END_NS, write=False)
    for name, array in arrays(sleeper.world).items():
        assert np.array_equal(array, before[name]), "looking ahead changes nothing"
    for at_ns in np.unique(wake_ns[wake_ns > BEGIN_NS]).tolist():
        rows = sleeper.rows[wake_ns == at_ns]
        until_ns, _ = sleeper.walk(rows, at_ns, write=True)
        assert until_ns.tolist() == [at_ns] * len(rows)
        truth = life(seed).at[at_ns]
        for name, array in arrays(sleeper.world).items():
            assert np.array_equal(array[..., rows], truth[name][..., rows]), name
    happens(sleeper, seed, wake_ns, why)
    return set(why.tolist())


def overlooks_nothing(passes: ModuleType, seed: int) -> None:
    """However far it is looked ahead, what is sent before a row wakes does not get lost."""
    sleeper, first = Sleeper(passes, seed), BEGIN_NS // WINDOW_NS
    for end_ns in range(BEGIN_NS + WINDOW_NS, END_NS, WINDOW_NS):
        wake_ns, _ = sleeper.walk(sleeper.rows, end_ns, write=False)
        for row, at_ns in zip(sleeper.rows.tolist(), wake_ns.tolist(), strict=True):
            slots = range(first, at_ns // WINDOW_NS)
            assert not [n for n in slots if (row, n) in life(seed).losses]


def happens(sleeper: Sleeper, seed: int, wake_ns: I64, why: I64) -> None:
    """What was foreseen to happen in a slot does: nobody wakes without need."""
    for row, at_ns, reason in zip(
        sleeper.rows.tolist(), wake_ns.tolist(), why.tolist(), strict=True
    ):
        if reason == dozing.LOSS:
            assert (row, at_ns // WINDOW_NS) in life(seed).losses
        if reason == dozing.VERDICT:
            told, known = (life(seed).at[at_ns + more] for more in (WINDOW_NS, 0))
            changed = told["verdict"][:, row] != known["verdict"][:, row]
            assert changed.any() or told["published"][row] != known["published"][row]


def stays_on_known_ground(passes: ModuleType, seed: int) -> None:
    """Below the figures that are told, verdicts are those in force, wherever one asks."""
    luck, known = np.random.default_rng(seed), 0
    most = np.array([400 * MS, 80 * MS, 100_000])
    for _ in range(400):
        asked = np.where(luck.random((3, 3)) < 0.6, -1, luck.integers(0, most, (3, 3)))
        score = luck.choice([-1, 3_500, 4_100], (3, 1))
        limits = np.concatenate([asked, score, np.full((3, 1), 11_000), np.full((3, 1), 19_000)], 1)
        rtt, jitter, loss = luck.integers(0, most // luck.integers(2, 12)).tolist()
        force = [[judging.verdict_of(rtt, jitter, loss, limit)] for limit in limits]
        verdicts = np.array(force, dtype=np.int8)
        box = passes._box(0, rtt, jitter, loss, verdicts, limits)
        assert box[0] >= rtt
        verdicts[luck.integers(3)] += 1
        assert passes._box(0, rtt, jitter, loss, verdicts, limits)[0] < rtt, "another verdict"
        verdicts[:, 0] = [one for (one,) in force]
        if box[1] >= 0:
            known += box[0] > rtt
            for figures in [box, *luck.integers(0, np.array(box) + 1, (20, 3)).tolist()]:
                slow, rough, lossy = figures
                found = [judging.verdict_of(slow, rough, lossy, limit) for limit in limits]
                assert found == verdicts[:, 0].tolist()
    assert known > 20


def test_verdicts_hold_on_known_ground() -> None:
    """So a walk that stays there need not ask for them."""
    for seed in range(3):
        stays_on_known_ground(dozing, seed)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("best &= inforce == verdict.COMPLIANT", "pass"),
        ("same &= inforce == verdict_of(rtt, jitter, loss, limits[number])", "pass"),
        ("beyond &= inforce == verdict_of(wide[0], wide[1], wide[2], limits[number])", "pass"),
    ],
)  # fmt: skip
def test_mutants_on_unknown_ground(old: str, new: str) -> None:
    """Whoever takes verdicts for granted elsewhere is found out."""
    broken = interpreted(dozing, old, new)
    assert any(fails(stays_on_known_ground, broken, seed) for seed in range(3))


def test_rows_are_passed_over() -> None:
    """Each estimator, bucket, test and metric is that of the simulation, wherever a row wakes."""
    reasons = set[int]()
    for seed in range(6):
        reasons |= passes_over(dozing, seed)
    assert reasons >= {dozing.LOSS, dozing.DELAY, dozing.VERDICT, dozing.LIMIT}


def test_no_loss_is_overlooked() -> None:
    """Nor are those of probes that come back after the end of what is looked at."""
    for seed in range(4):
        overlooks_nothing(dozing, seed)


def test_what_is_under_way_must_be_looked_at() -> None:
    """Without that some loss is overlooked."""
    broken = interpreted(dozing, "while n * interval[row] + phase[row] < end:", "while False:")
    with np.errstate(over="ignore"):
        assert any(fails(overlooks_nothing, broken, seed) for seed in range(4))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("np.uint64(n) * GOLDEN", "np.uint64(n + 1) * GOLDEN"),
        ("word >> _S12, there_of[1]", "word, there_of[1]"),
        ("_noise_ns(word, back_of[1])", "_noise_ns(word >> _S12, back_of[1])"),
        ("for count in (packets - 1, 1):", "for count in (packets,):"),
        ("since[kind, 1, row] if after > 0 else 0", "since[kind, 1, row]"),
        ("score[kind, row] = max(after, 0)", "score[kind, row] = after"),
        ("sent, lost = epoch[0, row] + packets, epoch[1, row]",
         "sent, lost = epoch[0, row] + packets, 0"),
        ("sent += usual[0, row]", "pass"),
        ("level[row] = _level_of(usual[0, row], usual[1, row])", "pass"),
        ("end, cause = min(end, sent - sent % grid_ns), LOSS", "end, cause = min(end, sent), LOSS"),
        ("back = sent + there + more", "back = sent"),
        ("while evaluation <= min(back, end, judged_until_ns):",
         "while evaluation < min(back, end, judged_until_ns):"),
        ("at_lost = lost_sum + gone - ring[bucket, 1, row]", "at_lost = lost_sum + gone"),
        ("loss = max(floor_ppm(at_sent, at_lost), estimate_ppm[row])", "loss = 0"),
        ("if rtt > box[0] or jitter > box[1] or loss > box[2] or loss < 0:", "if False:"),
        ("rtt, jitter = figures[0], figures[1] >> 4", "rtt, jitter = figures[0], figures[1]"),
        ("sent_sum, lost_sum, mark, sent_open, lost_open = at_sent, at_lost, n, 0, 0",
         "sent_sum, lost_sum, sent_open, lost_open = at_sent, at_lost, 0, 0"),
        ("calm += 1", "pass"),
        ("if not going or back >= end:", "if not going or back > end:"),
        ("figures = learn(figures, there, there + more, score)",
         "figures = learn(figures, there, there, score)"),
        ("learnt += asked - left", "pass"),
        ("left = asked = lossshift.EPOCH - learnt", "left = asked = lossshift.EPOCH"),
        ("state[health.HEARD, row] += n - first", "pass"),
        ("metric_now[row], metric_smooth[row] = now, smooth", "metric_now[row] = now"),
    ],
)  # fmt: skip
def test_mutants(old: str, new: str) -> None:
    """The property notices each broken walk, and does not object to the sound one."""
    holds: Holds = passes_over
    with np.errstate(over="ignore"):
        assert any(fails(holds, interpreted(dozing, old, new), seed) for seed in range(6))

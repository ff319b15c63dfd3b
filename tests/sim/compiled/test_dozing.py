"""A tunnel that is passed over is, row by row, what the engine makes of it probe by probe."""

from functools import lru_cache
from itertools import pairwise
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
from patronus.sim.compiled import dozing, drowsy, judging
from patronus.sim.gusts import gusts
from patronus.sim.instants import turns
from patronus.sim.scenario import (
    Burst,
    LinkProfile,
    Scenario,
    SiteSpec,
    TopologySpec,
    TransportSpec,
)
from patronus.sim.slumber import Calendar, Known, Luck, Patience, Signs
from patronus.sim.wire import WINDOW_NS
from patronus.sim.world import World
from tests.sim.compiled.interpreted import Holds, fails, interpreted
from tests.sim.watching import watch

BEGIN_NS: Final = 6 * SECOND
"""From here on rows are passed over,"""
END_NS: Final = 18 * SECOND
"""at most to here."""

BURST = Burst(gap_ns=4 * SECOND, length_ns=150 * MS, loss_ppm=500_000)
QUIET = LinkProfile(delay_ns=8 * MS, jitter_ns=6 * MS, loss_ppm=15_000, rate_bps=10**8, burst=BURST)
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
    meters, ranking, tunnels = world.engine.meters, world.engine.ranking, world.engine.tunnels
    columns, window, buckets = meters.columns, meters.window, meters.buckets
    fields = [f for f in range(len(columns.health)) if f != health.UPDATED]
    return {
        **{f"health {field}": columns.health[field] for field in fields},
        "due": columns.due,
        "delay": columns.delay[:LEVEL],  # the level means something in an alarm alone
        "seen": columns.seen,
        "habits": meters.health.habits,
        "detect": tunnels.detect_ns,
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
    lost: dict[int, list[int]]
    """By row, when probes were sent that get lost, or their answers."""
    back: dict[int, list[int]]
    """By row, when reflections came."""
    alarms: dict[int, Any]
    """Rows alarmed for loss, by time on the grid."""


@lru_cache
def life(seed: int) -> Life:
    """Simulate a world to its end."""
    world = World(scenario(), seed)
    seen, known, alarms = watch(world), {}, {}

    def look(now_ns: int) -> None:
        known[now_ns] = {name: array.copy() for name, array in arrays(world).items()}
        alarms[now_ns] = world.engine.meters.brownout.loss.alarmed.copy()

    world.run(progress=look)
    lost: dict[int, list[int]] = {}
    back: dict[int, list[int]] = {}
    for probe in seen.probes:
        if probe.back_ns == NEVER:
            lost.setdefault(probe.row, []).append(probe.sent_ns)
        else:
            back.setdefault(probe.row, []).append(probe.back_ns)
    return Life(known, lost, back, alarms)


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
        detect_ns, health = engine.tunnels.detect_ns, engine.meters.health
        self.phase_ns, self.interval_ns = self.luck.phase_ns, self.luck.interval_ns
        counted = (BEGIN_NS - 1 - self.phase_ns) // self.interval_ns + 1
        configured_ns = np.array([LIVENESS[t].detect_ns for t in world.overlay.transports])
        stale_ns = world.scenario.policy.stale_ns
        self.known = Known(
            meters.columns, window, engine.ranking.standing, asked,
            Calendar(done, turn[world.overlay.src]),
            Patience(
                health.habits, detect_ns, configured_ns[world.overlay.transport], True, stale_ns,
                counted,
            ),
        )  # fmt: skip
        memory = world.prober.memory
        none = np.zeros(rows, dtype=np.bool_)
        self.gusts = gusts(wire, BEGIN_NS - SECOND, END_NS + SECOND, none)
        signs = Signs(
            BEGIN_NS - SECOND, wire.usual_since_ns, none, engine.state, memory.silent,
            np.ones(len(world.overlay.sites), dtype=np.bool_),
            world.overlay.src, world.overlay.dst, memory.heard_count,
        )  # fmt: skip
        fit = np.zeros(rows, dtype=np.bool_)
        every = np.arange(rows, dtype=np.int64)
        drowsy(every, BEGIN_NS, self.luck, self.known, signs, self.gusts, fit)
        self.rows: I64 = np.flatnonzero(fit)

    def walk(self, rows: I64, until_ns: int, *, write: bool) -> tuple[I64, I64, int]:
        """Take rows up to a time, or look how far they can be taken, and why no further.

        The last figure is that of probes which were sent before that and got lost.
        """
        told = np.zeros((2, len(rows)), dtype=np.int64)
        period_ns = self.world.scenario.policy.evaluation_ns
        times = until_ns, until_ns, WINDOW_NS, period_ns
        lost = self.passes.doze(
            rows, times, self.luck, self.known, self.gusts, write, (told[0], told[1])
        )
        return told[0], told[1], lost


def passes_over(passes: ModuleType, seed: int) -> set[int]:
    """Take each row as far as it may be taken; return the reasons why no further."""
    sleeper = Sleeper(passes, seed)
    assert len(sleeper.rows) > 2
    before = {name: array.copy() for name, array in arrays(sleeper.world).items()}
    wake_ns, why, lost = sleeper.walk(sleeper.rows, END_NS, write=False)
    assert lost == 0
    for name, array in arrays(sleeper.world).items():
        assert np.array_equal(array, before[name]), "looking ahead changes nothing"
    for at_ns in np.unique(wake_ns[wake_ns > BEGIN_NS]).tolist():
        rows = sleeper.rows[wake_ns == at_ns]
        halfway_ns = BEGIN_NS + (at_ns - BEGIN_NS) // 2 // WINDOW_NS * WINDOW_NS
        first = sleeper.walk(rows, halfway_ns, write=True)[2]
        until_ns, _, lost = sleeper.walk(rows, at_ns, write=True)
        assert until_ns.tolist() == [at_ns] * len(rows)
        assert first + lost == sum(_between(life(seed).lost, r, BEGIN_NS, at_ns) for r in rows)
        truth = life(seed).at[at_ns]
        for name, array in arrays(sleeper.world).items():
            assert np.array_equal(array[..., rows], truth[name][..., rows]), name
    happens(sleeper, seed, wake_ns, why)
    return set(why.tolist())


def _between(times: dict[int, list[int]], row: int, from_ns: int, until_ns: int) -> int:
    return sum(from_ns <= t < until_ns for t in times.get(row, []))


def noticed_ns(sleeper: Sleeper, seed: int, row: int) -> tuple[int, int]:
    """Return when somebody first notices that reflections of a row are missing, and since when.

    That is when it is silent, or its figures are stale, or when the peer is asked what it
    has heard, on the grid, and reflections are overdue again on the next turn.
    """
    interval_ns = int(sleeper.interval_ns[row])
    detect_ns = int(sleeper.known.patience.configured_ns[row])
    overdue: dict[int, int] = {}
    for last_ns, next_ns in pairwise(sorted(life(seed).back[row])):
        if next_ns <= BEGIN_NS:
            continue
        silent_ns = last_ns + detect_ns if next_ns - last_ns > detect_ns else NEVER
        first_ns = (last_ns + interval_ns * 3 // 2) // WINDOW_NS * WINDOW_NS + WINDOW_NS
        for grid_ns in range(first_ns, min(next_ns, silent_ns) + 1, WINDOW_NS):
            if grid_ns - WINDOW_NS in overdue:
                return grid_ns, overdue[grid_ns - WINDOW_NS]
            overdue[grid_ns] = last_ns
        if silent_ns != NEVER:
            return silent_ns, last_ns
    return NEVER, NEVER


def overlooks_nothing(passes: ModuleType, seed: int) -> None:
    """However far it is looked ahead, nobody notices a loss before the row wakes."""
    sleeper, woken = Sleeper(passes, seed), 0
    noticed = {row: noticed_ns(sleeper, seed, row) for row in sleeper.rows.tolist()}
    for end_ns in range(BEGIN_NS + WINDOW_NS, END_NS, WINDOW_NS):
        wake_ns, why, _ = sleeper.walk(sleeper.rows, end_ns, write=False)
        for row, at_ns, reason in zip(
            sleeper.rows.tolist(), wake_ns.tolist(), why.tolist(), strict=True
        ):
            first_ns, since_ns = noticed[row]
            assert at_ns < first_ns
            if reason == dozing.LOSS:
                woken += 1
                assert at_ns + 2 * sleeper.interval_ns[row] >= since_ns - WINDOW_NS
                assert first_ns <= end_ns, "nobody wakes without need"
    assert woken > 0


def happens(sleeper: Sleeper, seed: int, wake_ns: I64, why: I64) -> None:
    """What was foreseen to happen in a slot does: nobody wakes without need."""
    for row, at_ns, reason in zip(
        sleeper.rows.tolist(), wake_ns.tolist(), why.tolist(), strict=True
    ):
        told, known = (life(seed).at[at_ns + more] for more in (WINDOW_NS, 0))
        if reason == dozing.COUNT:
            later, before = (life(seed).alarms[at_ns + more][row] for more in (WINDOW_NS, 0))
            assert later or before
        if reason == dozing.VERDICT:
            changed = any(
                (told[name][..., row] != known[name][..., row]).any()
                for name in ("verdict", "published", "detect")
            )
            assert changed


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
    assert reasons == set(range(5))


def test_no_silence_is_overlooked() -> None:
    """Losses that somebody would notice end the sleep before that."""
    for seed in range(4):
        overlooks_nothing(dozing, seed)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("np.uint64(m) * GOLDEN", "np.uint64(m + 1) * GOLDEN"),
        ("more = home_ns + _noise_ns(word, home_noise)",
         "more = home_ns + _noise_ns(word >> _S12, home_noise)"),
        ("if sent >= limit_until:", "if False:"),
        ("if sent + there >= limit_back_until:", "if False:"),
        ("gone += int(lost)", "gone += 1"),
        ("owed += write and m >= counted", "owed += write"),
        ("owed += write and lost and m >= counted", "pass"),
        ("tallied[row] = max(counted, m)", "pass"),
        ("while evaluation <= min(reach, judged_until_ns):",
         "while evaluation < min(reach, judged_until_ns):"),
        ("at_lost = lost_sum + lacking - ring[bucket, 1, row]", "at_lost = lost_sum + lacking"),
        ("loss = max(floor_ppm(at_sent, at_lost), estimate_ppm[row])", "loss = 0"),
        ("if rtt > box[0] or jitter > box[1] or loss > box[2] or loss < 0:", "if False:"),
        ("if adaptive and (adapted or (fresh and bursts > health.UNPROVEN)):", "if False:"),
        ("rtt, jitter = figures[0], figures[1] >> 4", "rtt, jitter = figures[0], figures[1]"),
        ("sent_sum, lost_sum, mark, sent_open, lost_open = at_sent, at_lost, n, 0, 0",
         "sent_sum, lost_sum, sent_open, lost_open = at_sent, at_lost, 0, 0"),
        ("calm += 1", "pass"),
        ("if not going or back >= end:", "if not going or back > end:"),
        ("left -= gap + 1", "left -= 1"),
        ("if left <= 0 or gone > 0:", "if left <= 0:"),
        ("asked - left - gap - 1, gap + 1, gone, doubts",
         "asked - left - gap, gap + 1, gone, doubts"),
        ("asked - left - gap - 1, gap + 1, gone, doubts", "asked - left - 1, 1, gone, doubts"),
        ("if asked == 0:", "if False:"),
        ("keep_trial(row, epochs, trial)", "pass"),
        ("figures = learn(figures, there, there + more, score)",
         "figures = learn(figures, there, there, score)"),
        ("heard += gap + 1 - gone", "heard += gap + 1"),
        ("lost_open += gone", "lost_open += gap"),
        ("missed, bursts, fresh = missed + gap, bursts + 1, True",
         "missed, bursts, fresh = missed + gap, bursts + gap, True"),
        ("proof, gone = back, 0", "proof = back"),
        ("metric_now[row], metric_smooth[row] = now, smooth", "metric_now[row] = now"),
    ],
)  # fmt: skip
def test_mutants(old: str, new: str) -> None:
    """The property notices each broken walk, and does not object to the sound one."""
    holds: Holds = passes_over
    with np.errstate(over="ignore"):
        assert any(fails(holds, interpreted(dozing, old, new), seed) for seed in range(6))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("if reach - proof > min(overdue, silence):", "if False:"),
        ("if reach - proof > silence or late", "if late"),
        ("late + (0 if again else grid_ns) <= reach", "late + grid_ns <= reach"),
        ("late + (0 if again else grid_ns) <= reach", "late <= reach"),
        ("hole_ns = hole_ns if again else n * step + begin", "hole_ns = n * step + begin"),
        ("silence, overdue = min(detect, stale_ns), step + (step >> 1)",
         "silence, overdue = min(detect, stale_ns), 2 * step"),
    ],
)  # fmt: skip
def test_mutants_that_overlook(old: str, new: str) -> None:
    """A walk through losses that somebody notices is found out."""
    with np.errstate(over="ignore"):
        broken = interpreted(dozing, old, new)
        assert any(fails(overlooks_nothing, broken, seed) for seed in range(4))

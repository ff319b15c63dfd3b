"""The compiled judgement leaves exactly what the engine's own would change."""

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from patronus.engine.configured import Configured
from patronus.engine.meters import Meters
from patronus.engine.overlay import I64, Overlay, build_overlay
from patronus.engine.policy import Policy, SlaClass, TrafficClass
from patronus.engine.ranking import Ranking, terms
from patronus.engine.units import MS, PPM, SECOND
from patronus.sim.compiled import judging
from tests.sim.compiled.interpreted import Holds, fails, interpreted

SITES = 8
LIMITS = SlaClass(latency_ns=150 * MS, jitter_ns=30 * MS, loss_ppm=10_000, mos_milli=4_000)
POLICY = Policy(
    classes=(
        TrafficClass("voice", sla=LIMITS),
        TrafficClass("g729", sla=SlaClass(mos_milli=3_500, codec="g729")),
        TrafficClass("steady", sla=SlaClass(jitter_ns=3 * MS)),
        TrafficClass("sparing", sla=SlaClass(loss_ppm=0)),
        TrafficClass("bulk"),
    ),
    liveness={},
)
WIDE = replace(POLICY, margin_ppm=2_050_000)
"""So wide a margin that no figure is beyond it; beginning to be known is news all the same."""


def overlay() -> Overlay:
    """Return a small full mesh over one transport."""
    pairs = [(a, b, 0) for a in range(SITES) for b in range(a + 1, SITES)]
    sites = [f"s{n}" for n in range(SITES)]
    return build_overlay(sites=sites, transports=["wan"], pairs=np.array(pairs, dtype=np.int64))


ROWS = np.arange(overlay().rows, dtype=np.int64)


def measured(luck: np.random.Generator) -> Meters:
    """Return meters of which some rows know nothing, some old things, and most something."""
    meters = Meters(len(ROWS), POLICY)
    state = meters.health.state
    state[0] = luck.choice([-1, 20, 150, 151, 299, 300, 500], len(ROWS)) * MS
    state[1] = luck.choice([-1, 0, 2 * MS, 3 * MS, 3 * MS + 1, 30 * MS, 31 * MS], len(ROWS)) << 4
    state[2] = luck.choice([0, SECOND, 2 * SECOND], len(ROWS))
    state[3], state[6] = 100, 100 - luck.choice([0, 0, 3, 90], len(ROWS))
    meters.health.opened[:] = luck.integers(0, 40, (2, len(ROWS)))
    meters.health.sums[0] = luck.integers(0, 3000, len(ROWS))
    meters.health.sums[1] = luck.choice([0, 1, 4, 30, 900, 20_000_000], len(ROWS))
    meters.health.sums[0, meters.health.sums[1] > PPM] = 2 * 10**9
    alarmed = luck.random(len(ROWS)) < 0.2
    meters.brownout.loss.estimate_ppm[alarmed] = luck.integers(0, PPM, alarmed.sum())
    fresh = luck.random(len(ROWS)) < 0.1
    meters.health.opened[:, fresh] = meters.health.sums[:, fresh] = 0
    state[6, fresh] = 100
    meters.health.opened[1, ::3] = meters.health.sums[1, ::3] = 0
    return meters


def state_of(ranking: Ranking) -> list[object]:
    """Return all that evaluations move."""
    return [a.tolist() for a in (*ranking.standing, ranking.told)]


def judges_well(passes: ModuleType, seed: int) -> None:
    """Hold a few evaluations, by a pass and the rest plainly, against plain ones."""
    luck = np.random.default_rng(seed)
    made = overlay()
    policy = (POLICY, WIDE)[seed % 2]
    quick, plain = (Ranking(made, policy, Configured(policy, SITES)) for _ in range(2))
    asked, hold_ns = terms(policy), np.full(len(ROWS), 2 * SECOND)
    meters, judged = measured(luck), 0
    for turn in range(9):
        now_ns = 4 * SECOND + turn * SECOND // 2
        meters.health.state[2] = np.maximum(meters.health.state[2], (turn > 2) * now_ns)
        noise = luck.integers(-2, 3, len(ROWS)) * MS
        meters.health.state[0] = np.maximum(meters.health.state[0] + noise, -1)
        figures = meters.figures(ROWS, now_ns)
        raw = np.stack([plain._raw(n, ROWS, figures) for n in range(len(policy.classes))])
        news = np.not_equal(raw, plain.verdict)
        news |= plain.standing.better_runs > 0
        found = np.stack(plain.evaluate(ROWS, figures, hold_ns))
        odd = np.zeros(len(ROWS), dtype=np.int64)
        left = passes.judge(ROWS, now_ns, meters.window, asked, quick.standing, odd)
        wanted = np.flatnonzero(news.any(axis=0) | found[1])
        assert odd[:left].tolist() == wanted.tolist()
        assert not np.delete(found, wanted, axis=1).any()
        judged += len(ROWS) - left
        finish(quick, meters, odd[:left], now_ns)
        assert state_of(quick) == state_of(plain)
    assert 0 < judged < 9 * len(ROWS)


def finish(ranking: Ranking, meters: Meters, rows: I64, now_ns: int) -> None:
    """Judge what a pass left, as the engine does."""
    ranking.evaluate(rows, meters.figures(rows, now_ns), np.full(len(rows), 2 * SECOND))


def test_judge() -> None:
    """Rows that a pass judges are as if the engine had, and no row is left without need."""
    for seed in range(30):
        judges_well(judging, seed)


def joins_well(passes: ModuleType, seed: int) -> None:
    """Hold the verdicts of ways over two tunnels against the engine's own."""
    made, luck = overlay(), np.random.default_rng(seed)
    ranking = Ranking(made, POLICY, Configured(POLICY, SITES))
    ranking.told[0] = luck.choice([-1, 20, 75, 100, 150], len(ROWS)) * MS
    ranking.told[1] = luck.choice([-1, 0, 2, 15, 16], len(ROWS)) * MS
    ranking.told[2] = luck.choice([-1, 0, 1, 4_999, 5_012, 5_013, 292_893, 292_894], len(ROWS))
    rest = ranking.told[:, ::-1].T.copy()
    asked = terms(POLICY)
    assert asked is not None
    for number, limits in enumerate(asked.limits):
        plain = ranking.whole(ROWS, rest, POLICY.classes[number].sla)
        quick = [passes.whole_of(ranking.told[:, row], rest[row], limits) for row in ROWS]
        assert quick == plain.tolist()


def test_whole() -> None:
    """The verdict of a way over two tunnels is that of what both come to together."""
    for seed in range(60):
        joins_well(judging, seed)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("if first[0] >= 0 and rest[0] >= 0:", "if first[0] >= 0:"),
        ("if first[1] >= 0 and rest[1] >= 0:", "if rest[1] >= 0:"),
        ("if first[2] >= 0 and rest[2] >= 0:", "if True:"),
        ("- first[2] * rest[2] // PPM", ""),
        ("rtt = first[0] + rest[0]", "rtt = max(first[0], rest[0])"),
        ("jitter = first[1] + rest[1]", "jitter = first[1]"),
    ],
)
def test_mutants_of_ways(old: str, new: str) -> None:
    """The property notices each broken sum, and does not object to the sound one."""
    joins_well(interpreted(judging), 0)
    assert any(fails(joins_well, interpreted(judging, old, new), seed) for seed in range(60))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("isqrt(4 * lost)", "isqrt(lost)"),
        ("min(root, _ROOT_MAX)", "root"),
        ("min(rtt_ns >> 1, len", "min(rtt_ns, len"),
        ("(95_000 - ie_milli) * bpl_ppm", "95_000 * bpl_ppm"),
        ("if loss_ppm >= verdict.OUTAGE_PPM", "if loss_ppm > PPM"),
        ("broken |= rtt_ns > latency", "broken |= rtt_ns >= latency"),
        ("broken |= jitter_ns > jitter", "broken |= jitter_ns >= jitter"),
        ("known &= jitter_ns >= 0", "pass"),
        ("known &= heard >= 0", "pass"),
        ("broken |= 0 <= heard < score", "broken |= heard < score"),
        ("<= stale_ns", "< stale_ns"),
        ("loss = max(loss, estimate_ppm[row])", "pass"),
        ("better_runs[number, row] > 0 or ", ""),
        ("if not same or moves(", "if not same or False and moves("),
        ("moved |= (smooth", "moved |= False and (smooth"),
        ("metric_now[row], metric_smooth[row] = now, smooth", "metric_now[row] = now"),
    ],
)
def test_mutants(old: str, new: str) -> None:
    """The property notices each broken pass, and does not object to the sound one."""
    holds: Holds = judges_well
    holds(interpreted(judging), 0)
    assert any(fails(holds, interpreted(judging, old, new), seed) for seed in range(30))

"""Comparing runs: where they part, by how much, and how sure one may be."""

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest

from patronus.engine.units import MS, NEVER
from patronus.sim.comparison import Change, Comparison, Divergence, compare, first_difference
from patronus.sim.comparison_record import comparison_record
from patronus.sim.run import Run
from tests.sim.synthetic import make_run


def exposed(seed: int, *failovers_ms: int) -> Run:
    """Return a run with exposures to as many faults; -1 stands for never."""
    rows = [
        {"fault": f"cut#{i}", "failover_ns": NEVER if ms < 0 else ms * MS}
        for i, ms in enumerate(failovers_ms)
    ]
    return make_run(seed, failovers=rows)


def change(comparison: Comparison, name: str) -> Change:
    """Return one figure by its name."""
    return next(c for c in comparison.changes if c.name == name)


def test_equal_runs_do_not_differ() -> None:
    """The same run twice: no divergence, every difference zero, every exposure equal."""
    comparison = compare([make_run()], [make_run()])
    assert comparison.divergences == {}
    assert comparison.same_luck
    assert {c.difference for c in comparison.changes} == {0}
    assert comparison.pairing.equal == 4
    assert (comparison.pairing.faster, comparison.pairing.slower) == (0, 0)


def test_the_first_different_decision() -> None:
    """Everything before it is equal; both decisions at that place are told."""
    rows = [{"t_ns": i, "to": "lte>rome"} for i in range(5)]
    a = make_run(decisions=rows)
    b = make_run(decisions=[*rows[:2], {**rows[2], "to": "sat>rome"}, *rows[3:]])
    found = first_difference(a, b)
    assert found is not None
    assert (found.index, found.numbers_only) == (2, False)
    assert found.a is not None
    assert found.b is not None
    assert (found.a["t_ns"], found.a["to"], found.b["to"]) == (2, "lte>rome", "sat>rome")


@pytest.mark.parametrize("swap", [False, True])
def test_a_journal_that_ends_early(swap: bool) -> None:
    """A missing decision is a difference at the place where it should stand."""
    rows = [{"t_ns": i} for i in range(3)]
    runs = make_run(decisions=rows), make_run(decisions=rows[:2])
    found = first_difference(*(runs[::-1] if swap else runs))
    assert found is not None
    missing, there = (found.a, found.b) if swap else (found.b, found.a)
    assert (found.index, missing) == (2, None)
    assert there is not None


def test_decisions_matter_before_numbers() -> None:
    """Different numbers alone are told as such, and not at all while decisions differ later."""
    rows = [{"t_ns": i, "numbers": {"loss_ppm": i}} for i in range(3)]
    other = [rows[0], {**rows[1], "numbers": {"loss_ppm": 7}}, rows[2]]
    found = first_difference(make_run(decisions=rows), make_run(decisions=other))
    assert isinstance(found, Divergence)
    assert (found.index, found.numbers_only) == (1, True)
    other[2] = {**rows[2], "to": "sat>rome"}
    found = first_difference(make_run(decisions=rows), make_run(decisions=other))
    assert isinstance(found, Divergence)
    assert (found.index, found.numbers_only) == (2, False)


def test_one_pair_shows_differences_without_intervals() -> None:
    """Percentiles and their differences are there, claims about other seeds are not."""
    comparison = compare([exposed(1, 100, 200, 300)], [exposed(1, 150, 200, 250, 50)])
    p50 = change(comparison, "failover.p50")
    assert (p50.a, p50.b, p50.difference) == (200 * MS, 150 * MS, -50 * MS)
    assert (p50.interval, p50.seeds) == (None, 1)
    assert p50.signed(p50.difference) == "-50 ms"
    pairing = comparison.pairing
    assert (pairing.faster, pairing.slower, pairing.equal) == (1, 1, 1)
    assert (pairing.only_a, pairing.only_b) == (0, 1)


def test_never_is_compared_as_infinite() -> None:
    """Never in both is no change, never in one is an infinite one."""
    comparison = compare([exposed(1, 10, -1)], [exposed(1, -1, -1)])
    assert change(comparison, "failover.max").difference == 0
    p50 = change(comparison, "failover.p50")
    assert (p50.difference, p50.text(p50.b), p50.signed(p50.difference)) == (
        math.inf,
        "never",
        "+∞",
    )
    assert (comparison.pairing.slower, comparison.pairing.equal) == (1, 1)


def test_what_was_not_measured_has_no_difference() -> None:
    """A figure that one side lacks is shown as missing on that side."""
    p50 = change(compare([exposed(1)], [exposed(1, 5)]), "failover.p50")
    assert (p50.a, p50.b, p50.difference, p50.seeds) == (None, 5 * MS, None, 0)
    assert (p50.text(p50.a), p50.signed(p50.difference)) == ("not measured", "not measured")


def test_classes_are_compared_by_loss_and_score() -> None:
    """Each class of either side has its loss and its mean opinion score compared."""
    a = make_run(series=[{"lost": 1}])
    b = make_run(series=[{"lost": 3, "mos_milli": 4200}, {"class": "bulk"}])
    comparison = compare([a], [b])
    loss = change(comparison, "class.voice.loss")
    assert loss.signed(loss.difference) == "+2 %"
    assert change(comparison, "class.voice.mos").difference == pytest.approx(-0.1)
    assert change(comparison, "class.bulk.loss").a is None


def test_several_seeds_are_paired() -> None:
    """Pairs share their luck: a steady gain shows although seeds differ a hundred times more."""
    luck = [int(v) for v in np.random.default_rng(7).integers(1000, 9000, 12)]
    a = [exposed(i, ms) for i, ms in enumerate(luck)]
    b = [exposed(i, ms - 50 + i) for i, ms in reversed(list(enumerate(luck)))]
    p99 = change(compare(a, b), "failover.p99")
    assert p99.seeds == 12
    assert p99.difference == -45 * MS
    assert p99.interval is not None
    assert p99.interval == (-48 * MS, -41 * MS)
    assert p99.signed(p99.interval.lower) == "-48 ms"


def test_seeds_without_a_partner_are_left_out_and_told() -> None:
    """Only seeds that both sides have are compared."""
    comparison = compare([exposed(s, 10) for s in (1, 2, 3)], [exposed(s, 10) for s in (3, 2, 9)])
    assert comparison.seeds == ((2, 2), (3, 3))
    assert comparison.left_out == (1, 9)


def test_single_runs_are_compared_whatever_their_seeds() -> None:
    """Two single runs of different seeds are a pair, marked as having different luck."""
    comparison = compare([exposed(1, 10)], [exposed(2, 20)])
    assert (comparison.seeds, comparison.same_luck) == (((1, 2),), False)
    assert change(comparison, "failover.max").difference == 10 * MS


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [
        ((1, 2), (3, 4), "no seed in common"),
        ((1, 1), (1, 2), "a seed occurs twice"),
        ((1, 2), (2, 2), "a seed occurs twice"),
        ((), (1,), "no seed in common"),
    ],
)
def test_sets_that_cannot_be_paired(a: Sequence[int], b: Sequence[int], message: str) -> None:
    """Sets without a common seed, or with a seed twice, are refused."""
    with pytest.raises(ValueError, match=message):
        compare([exposed(s, 10) for s in a], [exposed(s, 10) for s in b])


def test_what_common_luck_was_worth_stands_beside_each_figure() -> None:
    """Seeds differ by seconds, pairs by a millisecond: the factors say so; one pair has none."""
    luck = [int(v) for v in np.random.default_rng(8).integers(1000, 9000, 12)]
    a = [exposed(i, ms) for i, ms in enumerate(luck)]
    b = [exposed(i, ms - 50 + i % 2) for i, ms in enumerate(luck)]
    found = change(compare(a, b), "failover.p99").narrowing
    assert found is not None
    assert found.variance is not None
    # Var of the luck is about 5.3 million ms², that of a coin 0.27 ms².
    assert 1e7 < found.variance < 1e8
    assert found.interval is not None
    assert found.interval > 1000
    assert change(compare(a[:1], b[:1]), "failover.p99").narrowing is None


def test_figures_as_plain_data() -> None:
    """What JSON gets: figures with units, words for the infinite, null for the unmeasured."""
    pairs = [exposed(s, 10, -1) for s in range(7)], [exposed(s, 30 + s, -1) for s in range(7)]
    record = json.loads(json.dumps(comparison_record(compare(*pairs)), allow_nan=False))
    figures = {f["name"]: f for f in record["figures"]}
    assert figures["failover.p50"]["difference"] == 23 * MS
    assert figures["failover.p50"]["unit"] == "ns"
    assert figures["failover.p50"]["interval"] == [20 * MS, 26 * MS]
    assert figures["failover.max"]["a"] == "inf"
    assert figures["failover.max"]["difference"] == 0
    assert figures["failover.max"]["narrowing"]["variance"] is None
    assert record["exposures"] == {"faster": 0, "slower": 7, "equal": 7, "only_a": 0, "only_b": 0}
    assert (record["pairs"], record["first_difference"]) == (7, None)
    parted = comparison_record(compare([make_run()], [make_run(decisions=[])]))
    assert parted["first_difference"]["index"] == 0
    assert parted["first_difference"]["b"] is None
    assert parted["first_difference"]["a"]["site"] == "berlin"

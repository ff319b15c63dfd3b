"""The adaptive multiplier: as small as the prediction allows, never below the formula."""

from fractions import Fraction
from types import ModuleType
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import multiplier
from patronus.engine.multiplier import adapt, false_downs_micro
from patronus.engine.policy import MULTIPLIER_CEILING
from patronus.engine.units import MINUTE, MS, PPM
from tests.mutants.harness import caught, mutant
from tests.oracles.multiplier import false_downs


class Row(NamedTuple):
    """One tunnel, as the kernel sees it."""

    configured: int
    interval_ns: int
    loss_ppm: int
    burst_milli: int


ROWS = st.builds(
    Row,
    st.integers(1, 12),
    st.one_of(st.sampled_from([MS, 10 * MS, 100 * MS]), st.integers(MS, 2000 * MS)),
    st.one_of(
        st.sampled_from([-1, 0, 1, 9_999, 10_000, PPM - 1, PPM, PPM + 1]), st.integers(0, PPM)
    ),
    st.one_of(st.sampled_from([0, 999, 1000, 1001, 10**9]), st.integers(1000, 20_000)),
)
TABLES = st.lists(ROWS, min_size=1, max_size=8)

SLACK = Fraction(MULTIPLIER_CEILING, PPM)
"""The kernel rounds up by less than a millionth of an event at each step."""


def columns(rows: list[Row]) -> dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    arrays = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    return dict(zip(Row._fields, arrays, strict=True))


def needed(row: Row, slack: Fraction) -> int:
    """Return the multiplier of one row, if predictions up to 1 - slack are allowed."""
    if row.loss_ppm < 0:
        return row.configured
    for m in range(1, MULTIPLIER_CEILING):
        if predicted(m, row) <= 1 - slack:
            return max(m, row.configured)
    return max(MULTIPLIER_CEILING, row.configured)


def predicted(m: int, row: Row) -> Fraction:
    return false_downs(
        m, interval_ns=row.interval_ns, loss_ppm=row.loss_ppm, burst_milli=row.burst_milli
    )


def holds(kernel: ModuleType, rows: list[Row]) -> None:
    table = columns(rows)
    got = kernel.adapt(table.pop("configured"), **table).tolist()
    for m, row in zip(got, rows, strict=True):
        assert needed(row, Fraction(0)) <= m <= needed(row, SLACK)
    for m in (1, 3, 10):
        micro = kernel.false_downs_micro(m, **table).tolist()
        for count, row in zip(micro, rows, strict=True):
            exact = -1 if row.loss_ppm < 0 else PPM * predicted(m, row)
            assert exact <= count < exact + m


@given(TABLES)
def test_the_multiplier_is_the_smallest_that_the_exact_formula_allows(rows: list[Row]) -> None:
    """Vectors agree with exact fractions, and round towards fewer false downs."""
    holds(multiplier, rows)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("above = micro > _ONE_MICRO", "above = micro > 2 * _ONE_MICRO"),
        ("needed += above", "needed += above.all()"),
        ("probes = -(-over_ns // interval_ns)", "probes = over_ns // interval_ns"),
        ("np.maximum(again, loss)", "again"),
        ("range(2, MULTIPLIER_CEILING + 1)", "range(2, MULTIPLIER_CEILING)"),
        ("np.maximum(configured, needed)", "needed"),
        ("(rest * again + PPM - 1) // PPM", "rest * again // PPM"),
        ("np.where(loss_ppm < 0, -1, micro)", "micro"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """A wrong bound, ceiling, rounding or burst model is noticed."""
    broken = mutant(multiplier, old, new)
    assert caught(TABLES, lambda rows: holds(broken, rows))


@given(ROWS, st.integers(0, PPM), st.integers(0, 10_000), st.integers(0, 1000 * MS))
def test_the_multiplier_never_falls_when_things_get_worse(
    row: Row, loss: int, burst: int, interval: int
) -> None:
    """More loss, longer bursts and more probes never allow a smaller multiplier."""
    row = row._replace(loss_ppm=max(row.loss_ppm, 0))
    worse = [
        row,
        row._replace(loss_ppm=row.loss_ppm + loss),
        row._replace(burst_milli=row.burst_milli + burst),
        row._replace(interval_ns=max(row.interval_ns - interval, MS)),
    ]
    table = columns(worse)
    base, *others = adapt(table.pop("configured"), **table).tolist()
    assert all(m >= base for m in others)


def test_the_documented_figure() -> None:
    """At 1 % independent loss ×3 at 10 ms gives 60 false downs in 10 min over 1000 tunnels."""
    table = columns([Row(3, 10 * MS, 10_000, 1000)])
    del table["configured"]
    each = false_downs_micro(3, **table, over_ns=10 * MINUTE)
    # 10 min / 10 ms = 6e4 probes, each ends a run of three lost ones with 0.01^3 = 1e-6.
    assert each.tolist() == [60_000]
    assert 1000 * each[0] == 60 * PPM


def test_a_clean_tunnel_keeps_the_configured_multiplier() -> None:
    """Without loss, or without a measurement, nothing is added; a dead one meets the ceiling."""
    rows = [Row(3, 10 * MS, loss, 1000) for loss in (0, -1, 10_000, PPM)]
    table = columns([*rows, Row(12, 10 * MS, PPM, 1000)])
    assert adapt(table.pop("configured"), **table).tolist() == [3, 3, 5, MULTIPLIER_CEILING, 12]


@pytest.mark.parametrize(("interval_ns", "over_ns"), [(MS - 1, 0), (MS, -1), (MS, 10**16)])
def test_figures_beyond_the_arithmetic_are_refused(interval_ns: int, over_ns: int) -> None:
    """Intervals below 1 ms and times beyond 30 days could overflow, so they are errors."""
    table = columns([Row(3, interval_ns, 1, 1000)])
    del table["configured"]
    with pytest.raises(ValueError, match="at least 1 ms"):
        false_downs_micro(3, **table, over_ns=over_ns)

"""The table: a row a point, columns whose types do not depend on what was measured."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from patronus.sim.sweep.axes import axis
from patronus.sim.sweep.figures import Figure
from patronus.sim.sweep.points import FAILED, Record
from patronus.sim.sweep.table import Table, kind_of, names_in, numbers, write
from tests.sim.sweep.yard import grid


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("policy.hold=1s,400ms,0.5s", "policy.hold_ns", (10**9, 4 * 10**8, 5 * 10**8)),
        ("loss=1%,200ppm,0.5%", "loss_ppm", (10_000, 200, 5_000)),
        ("rate=64kbps,1Mbps", "rate_bps", (64_000, 10**6)),
        ("size=200B,1kB", "size_bytes", (200, 1000)),
        ("sites=10,20", "sites", (10, 20)),
        ("x=1.5,2", "x", (1.5, 2.0)),
        ("x=-2s,3s", "x_ns", (-2 * 10**9, 3 * 10**9)),
    ],
)
def test_values_as_numbers(text: str, name: str, values: tuple[float, ...]) -> None:
    """Quantities get a column in their base unit, bare numbers are numbers themselves."""
    found = numbers(axis(text))
    assert found is not None
    assert (found.name, found.values) == (name, values)


@pytest.mark.parametrize("text", ["a=on,off", "a=1s,best", "a=1s,1%", "a=nan,inf", "a=1_0,2_0"])
def test_values_that_are_no_numbers(text: str) -> None:
    """Words, and quantities of several sorts, stay text alone."""
    assert numbers(axis(text)) is None


def test_rows_and_columns(tmp_path: Path) -> None:
    """Who, where, which seed, what came of it; a failed point has its row and its reason."""
    over = grid(tmp_path, "duration=3s,4s", "policy.damping.hold=1s", seeds=[8, 9])
    made: dict[str, Figure] = {
        "verdict": "fail",
        "counts.sites": 3,
        "failover.p99_ms": float("inf"),
        "x.loss": None,
    }
    records = [Record(n, 8 + n % 2, "done", "cut", figures=dict(made)) for n in range(4)]
    records[2] = Record(2, 8, FAILED, error="no luck")
    table = Table(over, names_in([records]))
    frame = table.of(records).to_pandas()
    assert list(frame.columns) == [
        "point", "scenario", "file", "seed", "duration", "duration_ns", "policy.damping.hold",
        "policy.damping.hold_ns", "status", "error", "verdict", "counts.sites",
        "failover.p99_ms", "x.loss",
    ]  # fmt: skip
    assert list(frame["duration"]) == ["3s", "3s", "4s", "4s"]
    assert list(frame["duration_ns"]) == [3 * 10**9, 3 * 10**9, 4 * 10**9, 4 * 10**9]
    assert list(frame["seed"]) == [8, 9, 8, 9]
    assert list(frame["status"]) == ["done", "done", "failed", "done"]
    assert list(frame["error"]) == ["", "", "no luck", ""]
    assert np.isinf(frame["failover.p99_ms"][0])
    assert pd.isna(frame["failover.p99_ms"][2])
    assert frame["x.loss"].isna().all()


def test_types_come_from_names() -> None:
    """A column has the same type in every sweep, also where nothing was measured."""
    kinds = {
        "verdict": pa.string(), "expect[failover.p99 < 1s]": pa.string(),
        "journal_sha256": pa.string(), "converged": pa.bool_(), "failover.p99_ms": pa.float64(),
        "measured[loops == 0]": pa.float64(), "class.a.loss": pa.float64(),
        "simulated_s": pa.float64(), "counts.exposures": pa.int64(), "failover.never": pa.int64(),
    }  # fmt: skip
    assert {name: kind_of(name) for name in kinds} == kinds


def test_the_file_does_not_depend_on_blocks_read(tmp_path: Path) -> None:
    """A row group a block; a sweep of nothing is a table of no rows."""
    over = grid(tmp_path, seeds=range(4))
    records = [Record(n, n, "done", "cut", figures={"verdict": "pass"}) for n in range(4)]
    table = Table(over, names_in([records]))
    write(table, [records[:2], records[2:]], tmp_path / "t.parquet")
    assert pq.ParquetFile(tmp_path / "t.parquet").num_row_groups == 2
    assert list(pd.read_parquet(tmp_path / "t.parquet")["point"]) == [0, 1, 2, 3]
    write(table, [], tmp_path / "none.parquet")
    assert pd.read_parquet(tmp_path / "none.parquet").empty


def test_the_first_record_says_where_columns_stand() -> None:
    """Names come in the order in which they appear, each once, failed points have none."""
    one = Record(0, 1, "done", figures={"b": 1, "a": 2})
    blocks = [[Record(1, 1, FAILED), one], [replace(one, figures={"c": 1, "a": 1})]]
    assert list(names_in(blocks)) == ["b", "a", "c"]
    assert list(names_in([])) == []

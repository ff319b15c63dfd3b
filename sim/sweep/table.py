"""The table of a sweep: a row a point, typed columns, the same bytes whoever ran it.

``docs/sweep.md`` tells the columns. Parameters come first, as they were written, and
beside quantities the same as numbers of their base unit.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from patronus.sim.language.quantities import RATES, SHARES, TIME, VOLUMES
from patronus.sim.sweep.axes import Axis
from patronus.sim.sweep.grid import Grid
from patronus.sim.sweep.points import Record

FIRST: Final = {
    "point": pa.int64(), "scenario": pa.string(), "file": pa.string(), "seed": pa.int64(),
}  # fmt: skip
STATE: Final = {"status": pa.string(), "error": pa.string()}

_UNITS: Final = (("ns", TIME), ("ppm", SHARES), ("bps", RATES), ("bytes", VOLUMES))

_TEXTS: Final = ("verdict", "decisions_sha256", "journal_sha256", "network_sha256")


class Table:
    """Makes Arrow tables of records."""

    def __init__(self, grid: Grid, names: Iterable[str]) -> None:
        """Fix the columns.

        Args:
            grid: of the sweep.
            names: of all figures of all records, in the order of their first appearance.
        """
        self._grid = grid
        self._numbers = [numbers(axis) for axis in grid.axes]
        self._names = tuple(names)
        columns = dict(FIRST)
        for axis, column in zip(grid.axes, self._numbers, strict=True):
            if column is None or column.name != axis.key:
                columns[axis.key] = pa.string()
            if column is not None:
                columns[column.name] = column.kind
        columns |= STATE | {name: kind_of(name) for name in self._names}
        self.schema = pa.schema(list(columns.items()))

    def of(self, records: Sequence[Record]) -> pa.Table:
        """Return the rows of some records, in their order."""
        rows = [self._row(record) for record in records]
        columns = [
            pa.array([row.get(field.name) for row in rows], type=field.type)
            for field in self.schema
        ]
        return pa.Table.from_arrays(columns, schema=self.schema)

    def _row(self, record: Record) -> dict[str, Any]:
        case = record.number // max(1, len(self._grid.seeds))
        row: dict[str, Any] = {
            "point": record.number,
            "scenario": record.scenario or None,
            "file": self._grid.drafts[self._grid.case(case).draft].name,
            "seed": record.seed if record.seed >= 0 else None,
        }
        places = self._grid.case(case).values
        for axis, place, column in zip(self._grid.axes, places, self._numbers, strict=True):
            row[axis.key] = axis.values[place]
            if column is not None:
                row[column.name] = column.values[place]
        row |= {"status": record.status, "error": record.error}
        return {**row, **(record.figures or {})}


class Numbers:
    """The values of a parameter as numbers: a column of its own, or in place of the text."""

    def __init__(self, name: str, kind: pa.DataType, values: Sequence[int | float]) -> None:
        self.name, self.kind, self.values = name, kind, tuple(values)


def numbers(axis: Axis) -> Numbers | None:
    """Return the values of a parameter as numbers, None if they are none.

    Bare numbers take the place of their text. Quantities of one sort (``1s``, ``400ms``) stand
    beside it, in a column that ends in their base unit (``policy.hold_ns``).
    """
    for pattern, convert, kind in _BARE:
        if all(re.fullmatch(pattern, value) for value in axis.values):
            return Numbers(axis.key, kind, [convert(value) for value in axis.values])
    for unit, units in _UNITS:
        found = [_quantity(value, units) for value in axis.values]
        whole = [value for value in found if value is not None]
        if len(whole) == len(found):
            return Numbers(f"{axis.key}_{unit}", pa.int64(), whole)
    return None


_BARE: Final = (
    (r"-?[0-9]{1,18}", int, pa.int64()),
    (r"-?[0-9]{1,18}(\.[0-9]{1,18})?", float, pa.float64()),
)


def _quantity(value: str, units: Mapping[str, int]) -> int | None:
    match = re.fullmatch(r"([-+]?[0-9]{1,18}(?:\.[0-9]{1,18})?)(\D+)", value)
    if match is None or match[2] not in units:
        return None
    whole = Fraction(match[1]) * units[match[2]]
    return int(whole) if whole.denominator == 1 else None


def kind_of(name: str) -> pa.DataType:
    """Return the type of a figure's column; it does not depend on what was measured."""
    if name in _TEXTS or name.startswith("expect["):
        return pa.string()
    if name == "converged":
        return pa.bool_()
    if name.startswith("measured[") or name.endswith(("_ms", "_s", ".loss")):
        return pa.float64()
    return pa.int64()


def names_in(blocks: Iterable[Sequence[Record]]) -> Iterator[str]:
    """Yield the names of all figures, in the order of their first appearance."""
    seen: dict[str, None] = {}
    for records in blocks:
        for record in records:
            for name in record.figures or ():
                if name not in seen:
                    seen[name] = None
                    yield name


def write(table: Table, blocks: Iterable[Sequence[Record]], path: Path) -> None:
    """Write the table, one row group a block.

    Raises:
        OSError: it cannot be written.
    """
    with pq.ParquetWriter(path, table.schema, compression="zstd") as out:
        empty = True
        for records in blocks:
            out.write_table(table.of(records))
            empty = False
        if empty:
            out.write_table(table.schema.empty_table())

"""Columns of text for frames: made by Arrow from few names and many numbers.

A million exposures have a few hundred thousand different paths. Their names are put
together column by column, not one by one in Python.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from patronus.engine.forwarding import NO_ROW
from patronus.engine.overlay import I64, Overlay
from patronus.engine.selection import Bools

_TEXT = pa.large_string()  # what pandas keeps, so nothing is copied


def texts(names: Sequence[str], index: I64) -> "pd.Series[str]":
    """Return names by index; -1 stands for no text."""
    return _column(_taken(names, index))


def paths(overlay: Overlay, rows: I64, destinations: I64) -> "pd.Series[str]":
    """Return the names of paths as ``narrative.path_name`` has them, one a row."""
    there = rows != NO_ROW
    row = np.where(there, rows, 0)
    end = overlay.dst[row].astype(np.int64)
    onward = there & ~overlay.is_home(end, destinations)
    names = [destination.name for destination in overlay.destinations]
    parts = [
        _taken(overlay.transports, _only(overlay.transport[row].astype(np.int64), there)),
        _taken([f">{site}" for site in overlay.sites], _only(end, there)),
        _taken([f">{name}" for name in names], _only(destinations, onward)),
        pa.scalar("", _TEXT),
    ]
    return _column(pc.binary_join_element_wise(*parts))


def _only(index: I64, where: Bools) -> I64:
    return np.where(where, index, -1)


def _taken(names: Sequence[str], index: I64) -> pa.Array:
    # In NumPy -1 is the last place, in Arrow it is an error.
    every = pa.array([*names, ""], type=_TEXT)
    return every.take(pa.array(np.where(index < 0, len(names), index)))


def _column(values: pa.Array) -> "pd.Series[str]":
    column: pd.Series[str] = values.to_pandas()
    return column

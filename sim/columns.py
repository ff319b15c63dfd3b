"""Columns of text for frames: a few names and many numbers, put together by Arrow.

A million exposures have a few thousand different paths. Their names are made once, and
each exposure holds the number of its own: as text of their own they would take 300 MB.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from patronus.engine.arrays import distinct
from patronus.engine.forwarding import NO_ROW
from patronus.engine.liveness import I8
from patronus.engine.overlay import I32, I64, Overlay

_TEXT = pa.large_string()  # what pandas keeps, so nothing is copied
_BLOCK: Final = 1 << 16


def texts(names: Sequence[str], index: I64) -> "pd.Series[str]":
    """Return names by index; -1 stands for no text."""
    return _column(_taken(names, index))


def labels(names: Sequence[str], index: I64 | I32 | I8) -> "pd.Categorical[Any]":
    """Return the same as a column of categories; every name once."""
    every = list(dict.fromkeys([*names, ""]))
    place = np.array([every.index(name) for name in (*names, "")], dtype=np.int32)
    return pd.Categorical.from_codes(place[index], dtype=pd.CategoricalDtype(every))


def paths(overlay: Overlay, rows: I64 | I32, destinations: I64 | I32) -> "pd.Series[str]":
    """Return the names of paths as ``narrative.path_name`` has them, one a row."""
    return _column(_named(overlay, _codes(overlay, rows, destinations)))


def path_labels(
    overlay: Overlay, rows: I64 | I32, destinations: I64 | I32
) -> "pd.Categorical[Any]":
    """Return the same as a column of categories."""
    # Block by block: a column of two million exposures has five arrays of scratch.
    parts = [slice(at, at + _BLOCK) for at in range(0, len(rows), _BLOCK)]
    none = np.zeros(0, dtype=np.int64)
    codes = np.concatenate([none, *(_codes(overlay, rows[at], destinations[at]) for at in parts)])
    every = distinct(codes)
    names = _column(_named(overlay, every))
    return pd.Categorical.from_codes(every.searchsorted(codes), dtype=pd.CategoricalDtype(names))


def _codes(overlay: Overlay, rows: I64 | I32, destinations: I64 | I32) -> I64:
    """Return (transport, end of the first tunnel, destination beyond it) in one number."""
    there = rows != NO_ROW
    row = np.where(there, rows, 0)
    end = overlay.dst[row].astype(np.int64)
    beyond = np.where(overlay.is_home(end, destinations), len(overlay.destinations), destinations)
    code = overlay.transport[row].astype(np.int64) * len(overlay.sites) + end
    return np.where(there, code * (len(overlay.destinations) + 1) + beyond, -1)


def _named(overlay: Overlay, codes: I64) -> pa.Array:
    names = [f">{destination.name}" for destination in overlay.destinations]
    rest, beyond = np.divmod(codes, len(names) + 1)
    transport, end = np.divmod(rest, len(overlay.sites))
    nowhere = codes < 0
    transport[nowhere] = end[nowhere] = beyond[nowhere] = -1
    beyond[beyond == len(names)] = -1
    parts = [
        _taken(overlay.transports, transport),
        _taken([f">{site}" for site in overlay.sites], end),
        _taken(names, beyond),
        pa.scalar("", _TEXT),
    ]
    return pc.binary_join_element_wise(*parts)


def _taken(names: Sequence[str], index: I64) -> pa.Array:
    # In NumPy -1 is the last place, in Arrow it is an error.
    every = pa.array([*names, ""], type=_TEXT)
    return every.take(pa.array(np.where(index < 0, len(names), index)))


def _column(values: pa.Array) -> "pd.Series[str]":
    column: pd.Series[str] = values.to_pandas()
    return column

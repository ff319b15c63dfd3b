"""Pins that describe themselves: which fields their records have, and where.

A map of its own, pinned beside the others, holds the types of all mapped arrays as JSON. So a
later version of the program can read what an earlier one has left in the kernel, whatever has moved
since (:mod:`patronus.dataplane.linux.transfer`).
"""

import json
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from patronus.dataplane.linux.objects import MapShape

NAME: Final = "description"
OCTETS: Final = 1 << 15
BPF_MAP_TYPE_ARRAY: Final = 2
BPF_F_MMAPABLE: Final = 1 << 10

SHAPE: Final = MapShape(BPF_MAP_TYPE_ARRAY, 4, OCTETS, 1, BPF_F_MMAPABLE)
TEXT: Final = np.dtype(("u1", OCTETS))


def text_of(arrays: Mapping[str, np.dtype[Any]]) -> bytes:
    """Return the description of arrays, padded to the size of its map."""
    text = json.dumps({name: _told(dtype) for name, dtype in arrays.items()}).encode()
    assert len(text) <= OCTETS, "the description has outgrown its map"
    return text.ljust(OCTETS, b"\0")


def arrays_in(text: bytes) -> dict[str, np.dtype[Any]]:
    """Return the types that a description names.

    Raises:
        ValueError: it is none.
    """
    try:
        found = json.loads(text.rstrip(b"\0"))
        return {name: _type(told) for name, told in found.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"a description of pins that cannot be read: {error}") from None


def _told(dtype: np.dtype[Any]) -> Any:
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        return {"of": _told(base), "shape": list(shape)}
    if dtype.fields is None:
        return dtype.str
    fields = [[name, int(at), _told(kind)] for name, (kind, at, *_) in dtype.fields.items()]
    return {"octets": dtype.itemsize, "fields": fields}


def _type(told: Any) -> np.dtype[Any]:
    if isinstance(told, str):
        return np.dtype(told)
    if "of" in told:
        return np.dtype((_type(told["of"]), tuple(told["shape"])))
    names, offsets, kinds = zip(*told["fields"], strict=True)
    return np.dtype(
        {
            "names": list(names),
            "formats": [_type(kind) for kind in kinds],
            "offsets": list(offsets),
            "itemsize": told["octets"],
        }
    )

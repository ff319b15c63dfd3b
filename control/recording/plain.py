"""Policies and overlays as bytes, and back: what a recording needs to build its engine."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import UnionType
from typing import Any, Final, get_args, get_origin, get_type_hints

import numpy as np

from patronus.control.recording.codec import Packer, Unpacker
from patronus.control.recording.frames import RecordingError
from patronus.engine.overlay import NOT_HELD, Destination, Overlay
from patronus.engine.policy import Policy

_ROWS: Final = ("src", "dst", "transport", "reverse", "key")
"""Arrays of an overlay with one element a row."""


def policy_bytes(policy: Policy) -> bytes:
    """Return a policy as canonical JSON."""
    return json.dumps(_plain(policy), sort_keys=True, separators=(",", ":")).encode("ascii")


def policy_of(data: bytes) -> Policy:
    """Return the policy of canonical JSON.

    Raises:
        RecordingError: the bytes are anything else.
    """
    try:
        policy: Policy = _built(Policy, json.loads(data.decode("ascii")))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise RecordingError("the policy cannot be read") from None
    if policy_bytes(policy) != data:
        raise RecordingError("the policy is not in canonical form")
    return policy


def _plain(value: Any) -> Any:
    """Return a value of a policy as JSON has it."""
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, frozenset):
        return sorted(map(_plain, value))
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _built(kind: Any, given: Any) -> Any:
    """Return a value of a type out of JSON; raises what a wrong one leads to."""
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        if given.keys() != hints.keys():
            raise KeyError("other fields")
        make: Any = kind
        return make(**{name: _built(hint, given[name]) for name, hint in hints.items()})
    origin, inner = get_origin(kind), get_args(kind)
    if origin is tuple:
        return _tuple(inner, given)
    if origin is frozenset:
        return frozenset(_built(inner[0], item) for item in given)
    if origin is Mapping:
        return {_built(str, key): _built(inner[1], item) for key, item in given.items()}
    if origin is UnionType:
        return None if given is None else _built(inner[0], given)
    if issubclass(kind, Enum):
        return kind(given)
    if type(given) is not kind:
        raise TypeError(f"no {kind}")
    return given


def _tuple(inner: tuple[Any, ...], given: Any) -> tuple[Any, ...]:
    if inner[-1] is Ellipsis:
        return tuple(_built(inner[0], item) for item in given)
    return tuple(_built(kind, item) for kind, item in zip(inner, given, strict=True))


# ---------------------------------------------------------------- overlays


def overlay_bytes(overlay: Overlay) -> bytes:
    """Return an overlay."""
    out = Packer()
    for names in (overlay.sites, overlay.transports):
        _add_texts(out, names)
    _add_texts(out, [d.name for d in overlay.destinations])
    for numbers in (*(d.sites for d in overlay.destinations), overlay.transit, overlay.rank):
        out.array(np.array(numbers, dtype=np.int64))
    for name in _ROWS:
        out.array(getattr(overlay, name))
    out.count(overlay.deciding)
    return bytes(out)


def _add_texts(out: Packer, texts: Any) -> None:
    out.count(len(texts))
    for text in texts:
        out.text(text)


def overlay_of(data: bytes) -> Overlay:
    """Return the overlay of its bytes.

    Raises:
        RecordingError: they are anything else.
    """
    given = Unpacker(data)
    sites, transports, names = (_texts(given) for _ in range(3))
    homes = [_numbers(given, len(sites)) for _ in names]
    transit, rank = _numbers(given, len(sites)), _numbers(given, len(sites))
    rows = {name: given.array() for name in _ROWS}
    deciding = given.count()
    given.end()
    _check_rows(rows, sites=len(sites), transports=len(transports), deciding=deciding)
    if len(rank) != len(sites) or not all(homes) or len(set(sites)) != len(sites):
        raise RecordingError("the sites of the overlay do not fit together")
    return Overlay(
        sites=sites,
        transports=transports,
        destinations=tuple(map(Destination, names, homes)),
        transit=transit,
        rank=np.array(rank, dtype=np.int32),
        deciding=deciding,
        **rows,
    )


def _texts(given: Unpacker) -> tuple[str, ...]:
    return tuple(given.text() for _ in range(min(given.count(), given.left)))


def _numbers(given: Unpacker, below: int) -> tuple[int, ...]:
    numbers = given.array().tolist()
    if not isinstance(numbers, list) or any(
        not isinstance(number, int) or not 0 <= number < below for number in numbers
    ):
        raise RecordingError("the overlay names what it does not hold")
    return tuple(numbers)


def _check_rows(rows: dict[str, Any], *, sites: int, transports: int, deciding: int) -> None:
    """Check that rows are of one length, name what exists, and stand in order."""
    most = {"src": deciding, "dst": sites, "transport": transports, "reverse": len(rows["src"])}
    shape = rows["src"].shape
    for name, column in rows.items():
        dtype = np.dtype(np.uint64 if name == "key" else np.int32)
        if column.dtype != dtype or column.shape != shape or column.ndim != 1:
            raise RecordingError("the rows of the overlay are not of one kind")
        least = NOT_HELD if name == "reverse" else 0
        if name in most and len(column) and not least <= column.min() <= column.max() < most[name]:
            raise RecordingError("a row of the overlay names what does not exist")
    if deciding > sites or (np.diff(rows["src"]) < 0).any():
        raise RecordingError("the rows of the overlay are not in order")

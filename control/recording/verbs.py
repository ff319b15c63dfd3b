"""The verbs of an engine as a table: what each is given, and how that becomes bytes.

A verb that is missing here would be an input that no recording holds; a test holds the table
and the engine together.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from patronus.control.recording.codec import Packer, Unpacker
from patronus.control.recording.frames import RecordingError
from patronus.control.recording.plain import policy_bytes, policy_of
from patronus.engine.announcement import AnnouncementError, decode, encode
from patronus.engine.engine import Engine
from patronus.engine.forwarding import ForwardingDelta
from patronus.engine.verdict import Figures


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of argument: how it is added, and how it is taken."""

    add: Callable[[Packer, Any], None]
    take: Callable[[Unpacker], Any]


def _add_rows(out: Packer, rows: Any) -> None:
    """Add rows; a slice stays one, since its length may be left to the engine."""
    out.count(isinstance(rows, slice))
    if isinstance(rows, slice):
        for bound in (rows.start, rows.stop):
            out.count(0 if bound is None else bound + 1)
    else:
        out.array(rows)


def _take_rows(given: Unpacker) -> Any:
    if not given.count():
        return given.array()
    start, stop = (given.count() - 1 for _ in range(2))
    return slice(None if start < 0 else start, None if stop < 0 else stop)


def _add_figures(out: Packer, figures: Figures) -> None:
    for column in figures:
        out.array(column)


def _add_received(out: Packer, received: Any) -> None:
    out.count(len(received))
    for sites, announcement in received:
        out.array(sites)
        out.raw(encode(announcement))


def _take_received(given: Unpacker) -> list[Any]:
    try:
        return [(given.array(), decode(given.raw())) for _ in range(min(given.count(), given.left))]
    except AnnouncementError as error:
        raise RecordingError(f"an announcement in it is none: {error}") from None


def _add_policy(out: Packer, policy: Any) -> None:
    out.raw(b"" if policy is None else policy_bytes(policy))


def _take_policy(given: Unpacker) -> Any:
    data = given.raw()
    return policy_of(data) if data else None


def _add_sites(out: Packer, sites: Any) -> None:
    out.array(np.asarray(sites, dtype=np.int64))


def _take_delta(given: Unpacker) -> ForwardingDelta:
    """Take an acknowledged delta: of it the engine looks at the generation alone."""
    generation, empty = given.count(), np.zeros(0, dtype=np.int64)
    no = empty.astype(np.bool_)
    rows = np.zeros((0, 3), dtype=np.int32)
    return ForwardingDelta(generation, empty, rows, drop=no, shared_fate=no)


ARRAY: Final = Kind(Packer.array, Unpacker.array)
ROWS: Final = Kind(_add_rows, _take_rows)
TIME: Final = Kind(Packer.number, Unpacker.number)
SWITCH: Final = Kind(Packer.count, lambda given: bool(given.count()))
FIGURES: Final = Kind(_add_figures, lambda given: Figures(*(given.array() for _ in range(3))))
RECEIVED: Final = Kind(_add_received, _take_received)
POLICY: Final = Kind(_add_policy, _take_policy)
SITES: Final = Kind(_add_sites, lambda given: given.array().tolist())
DELTA: Final = Kind(lambda out, delta: out.count(delta.generation), _take_delta)

VERBS: Final[Mapping[str, Mapping[str, Kind]]] = {
    "observe": {"rows": ROWS, "sent_ns": ARRAY, "reflected_ns": ARRAY, "arrived_ns": ARRAY,
                "sequence": ARRAY, "heard_count": ARRAY},
    "count": {"rows": ARRAY, "sent": ARRAY, "lost": ARRAY, "at_ns": ARRAY},
    "report": {"rows": ARRAY, "sequence": ARRAY, "heard_count": ARRAY, "at_ns": ARRAY},
    "edges": {"rows": ARRAY, "kinds": ARRAY, "at_ns": TIME},
    "heard": {"rows": ARRAY, "at_ns": ARRAY},
    "carrier_lost": {"rows": ARRAY, "at_ns": TIME},
    "alarm": {"rows": ARRAY, "at_ns": TIME, "figures": FIGURES},
    "learn": {"received": RECEIVED, "now_ns": TIME},
    "drain": {"rows": ARRAY, "now_ns": TIME, "on": SWITCH},
    "evaluate": {"sites": SITES, "now_ns": TIME},
    "set_lan": {"site": TIME, "up": SWITCH, "now_ns": TIME},
    "configure": {"sites": SITES, "policy": POLICY, "now_ns": TIME},
    "set_fates": {"rows": ARRAY, "fates": ARRAY},
    "restart": {"site": TIME, "now_ns": TIME, "since_ns": ARRAY, "latched": ARRAY},
    "resume": {"site": TIME, "now_ns": TIME, "since_ns": ARRAY, "latched": ARRAY},
    "kernel_moved": {"entries": ARRAY, "before": ARRAY, "after": ARRAY, "now_ns": TIME},
    "programmed": {"delta": DELTA},
    "recording": {"on": SWITCH},
    "set_mtu": {"rows": ARRAY, "mtu": ARRAY, "now_ns": TIME},
}  # fmt: skip
"""In this order they are numbered, so new ones come last."""

QUERIES: Final = frozenset({"figures", "flow_shares", "overdue"})
"""Verbs that change nothing, so they need not be told again."""

OUTPUT: Final = "take"
"""The verb that hands out what is to be done; its outcome is recorded, not its arguments."""

_NAMES: Final = tuple(VERBS)


def _set_recording(engine: Engine, on: bool) -> None:
    """Set what is a property of an engine, and an input as well."""
    engine.recording = on


_CALLS: Final[Mapping[str, Callable[..., Any]]] = {
    name: _set_recording if name == "recording" else getattr(Engine, name) for name in VERBS
}
_SIGNATURE: Final = {name: inspect.signature(call) for name, call in _CALLS.items()}


def pack(name: str, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> bytes:
    """Return the bytes of one call of a verb."""
    bound = _SIGNATURE[name].bind(None, *arguments, **named).arguments
    out = Packer()
    out.count(_NAMES.index(name))
    for argument, kind in VERBS[name].items():
        kind.add(out, bound[argument])
    return bytes(out)


def unpack(data: bytes) -> tuple[str, dict[str, Any]]:
    """Return the verb and the arguments of some bytes.

    Raises:
        RecordingError: they are no call.
    """
    given = Unpacker(data)
    number = given.count()
    if number >= len(_NAMES):
        raise RecordingError("an input of an unknown kind")
    name = _NAMES[number]
    arguments = {argument: kind.take(given) for argument, kind in VERBS[name].items()}
    given.end()
    return name, arguments


def apply(engine: Engine, name: str, arguments: Mapping[str, Any]) -> None:
    """Tell an engine one input."""
    _CALLS[name](engine, **arguments)

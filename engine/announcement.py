"""What a site tells the others: what lies behind it and whom it reaches directly.

The encoding is canonical (equal content, equal bytes) and bounded, little-endian:

    magic "PA", format u8, LAN up u8, counter u64, version u64, sent_ns i64
    origin                              string: u8 length, UTF-8
    destinations, classes, targets      lists: u16 count, strings ascending, each once
    usable u8, rtt_ns i64, jitter_ns i64, loss_ppm i32, verdict u8
                                        [target][class] each

Nothing here is secret or signed: the transport below authenticates.
"""

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from patronus.engine.overlay import I32, I64

MAGIC: Final = b"PA"
FORMAT: Final = 1
NAMES_MAX: Final = 65_535
NAME_BYTES_MAX: Final = 255
BYTES_MAX: Final = 1 << 23
"""8 MiB: 65 k targets with three classes and short names."""

_HEADER: Final = struct.Struct("<2sBBQQq")


class AnnouncementError(ValueError):
    """An announcement is not well formed; the message says why."""


@dataclass(frozen=True, eq=False, slots=True)
class Announcement:
    """One announcement; compare two by their encodings."""

    origin: str
    counter: int
    """Grows with each announcement of an origin, also over its restarts (it may start from
    the clock). What is not above the last one is a replay."""
    version: int
    """Grows with each new content; the same one means that nothing else has changed."""
    sent_ns: int
    lan_up: bool
    destinations: tuple[str, ...]
    """Names of the prefixes that it announces, ascending."""
    classes: tuple[str, ...]
    """Names of the traffic classes of the figures, ascending."""
    targets: tuple[str, ...]
    """Names of the sites or destinations that it has direct tunnels to, ascending."""
    usable: npt.NDArray[np.bool_]
    """Shape (targets, classes), like all that follow: it would send the class over one of
    those tunnels, and that is up."""
    rtt_ns: I64
    """Of that tunnel; -1 where unknown."""
    jitter_ns: I64
    loss_ppm: I32
    verdict: npt.NDArray[np.int8]
    """Codes of the SLA verdict of that tunnel."""


class _Column(NamedTuple):
    """How one array of figures travels."""

    field: str
    wire: str
    dtype: npt.DTypeLike
    least: int
    most: int


_COLUMNS: Final = (
    _Column("usable", "<u1", np.bool_, least=0, most=1),
    _Column("rtt_ns", "<i8", np.int64, least=-1, most=2**62),
    _Column("jitter_ns", "<i8", np.int64, least=-1, most=2**62),
    _Column("loss_ppm", "<i4", np.int32, least=-1, most=10**6),
    _Column("verdict", "<u1", np.int8, least=0, most=3),
)


def encode(announcement: Announcement) -> bytes:
    """Return the canonical bytes.

    Raises:
        AnnouncementError: a value is out of its range, names are out of order, an array
            has another shape, or all of it is too long.
    """
    a = announcement
    try:
        header = _HEADER.pack(MAGIC, FORMAT, bool(a.lan_up), a.counter, a.version, a.sent_ns)
    except struct.error as error:
        raise AnnouncementError(f"a number of the header is out of range: {error}") from None
    parts = [header, _string(a.origin)]
    parts += [_strings(names) for names in (a.destinations, a.classes, a.targets)]
    for column in _COLUMNS:
        values = getattr(a, column.field)
        if values.shape != (len(a.targets), len(a.classes)):
            raise AnnouncementError(f"{column.field} has shape {values.shape}")
        _check_range(column, values)
        parts.append(values.astype(column.wire).tobytes())
    data = b"".join(parts)
    _check_length(data)
    return data


def decode(data: bytes) -> Announcement:
    """Read canonical bytes; the inverse of :func:`encode`.

    Raises:
        AnnouncementError: the bytes are anything else. Nothing else is raised.
    """
    _check_length(data)
    reader = _Reader(data)
    header = _HEADER.unpack(reader.take(_HEADER.size))
    magic, kind, lan_up, counter, version, sent_ns = header
    if magic != MAGIC or kind != FORMAT or lan_up > 1:
        raise AnnouncementError("not an announcement of this format")
    origin = reader.string()
    destinations, classes, targets = reader.strings(), reader.strings(), reader.strings()
    shape = len(targets), len(classes)
    figures = {c.field: reader.column(c, shape) for c in _COLUMNS}
    reader.end()
    return Announcement(
        origin=origin,
        counter=counter,
        version=version,
        sent_ns=sent_ns,
        lan_up=lan_up == 1,
        destinations=destinations,
        classes=classes,
        targets=targets,
        usable=figures["usable"],
        rtt_ns=figures["rtt_ns"],
        jitter_ns=figures["jitter_ns"],
        loss_ppm=figures["loss_ppm"],
        verdict=figures["verdict"],
    )


class _Reader:
    """A cursor over bytes that never reads past their end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        if count > len(self._data) - self._at:
            raise AnnouncementError("ends too early")
        self._at += count
        return self._data[self._at - count : self._at]

    def string(self) -> str:
        raw = self.take(self.take(1)[0])
        try:
            return _nonempty(raw.decode())
        except UnicodeDecodeError:
            raise AnnouncementError("a name is not UTF-8") from None

    def strings(self) -> tuple[str, ...]:
        count = int.from_bytes(self.take(2), "little")
        return _ascending(tuple(self.string() for _ in range(count)))

    # The dtype depends on the column, which the type checker cannot follow.
    def column(self, column: _Column, shape: tuple[int, int]) -> npt.NDArray[Any]:
        size = np.dtype(column.wire).itemsize * shape[0] * shape[1]
        values = np.frombuffer(self.take(size), dtype=column.wire).reshape(shape)
        _check_range(column, values)
        return values.astype(column.dtype)

    def end(self) -> None:
        if self._at != len(self._data):
            raise AnnouncementError("goes on after its end")


def _string(name: str) -> bytes:
    try:
        raw = _nonempty(name).encode()
    except UnicodeEncodeError:
        raise AnnouncementError("a name has no UTF-8 form") from None
    if len(raw) > NAME_BYTES_MAX:
        raise AnnouncementError(f"a name is longer than {NAME_BYTES_MAX} bytes")
    return bytes([len(raw)]) + raw


def _strings(names: tuple[str, ...]) -> bytes:
    if len(names) > NAMES_MAX:
        raise AnnouncementError(f"more than {NAMES_MAX} names")
    return len(names).to_bytes(2, "little") + b"".join(map(_string, _ascending(names)))


def _nonempty(name: str) -> str:
    if not name:
        raise AnnouncementError("a name is empty")
    return name


def _ascending(names: tuple[str, ...]) -> tuple[str, ...]:
    if any(a >= b for a, b in pairwise(names)):
        raise AnnouncementError("names are not in ascending order, each once")
    return names


def _check_range(column: _Column, values: npt.NDArray[Any]) -> None:
    if values.dtype.kind not in "biu":
        raise AnnouncementError(f"{column.field} is not of integers")
    if ((values < column.least) | (values > column.most)).any():
        raise AnnouncementError(f"{column.field} is out of range")


def _check_length(data: bytes) -> None:
    if len(data) > BYTES_MAX:
        raise AnnouncementError(f"longer than {BYTES_MAX} bytes")

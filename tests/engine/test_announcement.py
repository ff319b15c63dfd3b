"""Announcements: one canonical form, bounded, and safe against whatever arrives."""

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import announcement
from patronus.engine.announcement import (
    BYTES_MAX,
    Announcement,
    AnnouncementError,
    decode,
    encode,
)
from tests.mutants.harness import caught, mutant
from tests.oracles import announcement as oracle

NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60) | st.sampled_from(
    ["a", "b", "é", "\U0001f600", "z" * 255]
)
LISTS = st.lists(NAME, max_size=4, unique=True).map(lambda names: tuple(sorted(names)))
CELLS = st.tuples(
    st.booleans(),
    st.one_of(st.just(-1), st.integers(-1, 2**62)),
    st.integers(-1, 2**62),
    st.integers(-1, 10**6),
    st.integers(0, 2),
)
HEADERS = st.tuples(
    st.booleans(),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(-(2**63), 2**63 - 1),
)

Parts = tuple[
    tuple[bool, int, int, int],
    str,
    tuple[tuple[str, ...], ...],
    list[list[tuple[bool, int, int, int, int]]],
]
"""Header, origin, the three lists, and by target and class: usable, figures, verdict."""


@st.composite
def announcements(draw: st.DrawFn) -> Parts:
    lists = draw(LISTS), draw(LISTS), draw(LISTS)
    _, classes, targets = lists
    row = st.lists(CELLS, min_size=len(classes), max_size=len(classes))
    cells = draw(st.lists(row, min_size=len(targets), max_size=len(targets)))
    return draw(HEADERS), draw(NAME), lists, cells


def build(kernel: ModuleType, parts: Parts) -> Announcement:
    (lan_up, counter, version, sent_ns), origin, lists, cells = parts
    shape = len(lists[2]), len(lists[1])
    columns = np.array(cells, dtype=np.int64).reshape(*shape, 5)
    built: Announcement = kernel.Announcement(
        origin, counter, version, sent_ns, lan_up, *lists,
        usable=columns[:, :, 0].astype(np.bool_),
        rtt_ns=columns[:, :, 1], jitter_ns=columns[:, :, 2],
        loss_ppm=columns[:, :, 3].astype(np.int32), verdict=columns[:, :, 4].astype(np.int8),
    )  # fmt: skip
    return built


def parts_of(a: Announcement) -> Parts:
    columns = np.stack([a.usable, a.rtt_ns, a.jitter_ns, a.loss_ppm, a.verdict], axis=-1)
    cells = [[(up == 1, *figures) for up, *figures in row] for row in columns.tolist()]
    header = a.lan_up, a.counter, a.version, a.sent_ns
    return header, a.origin, (a.destinations, a.classes, a.targets), cells


def holds(kernel: ModuleType, parts: Parts) -> None:
    data = kernel.encode(build(kernel, parts))
    assert data == oracle.encoded(*parts)
    assert parts_of(kernel.decode(data)) == parts


@given(announcements())
def test_bytes_are_as_documented_and_read_back(parts: Parts) -> None:
    """Encoding equals bytes put together by hand, and decoding gives all of it again."""
    holds(announcement, parts)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"<2sBBQQq"', '">2sBBQQq"'),
        ("if any(a >= b for a, b in pairwise(names))", "if any(a > b for a, b in names)"),
        ('_Column("loss_ppm", "<i4"', '_Column("loss_ppm", "<i8"'),
        ("shape = len(targets), len(classes)", "shape = len(classes), len(targets)"),
        ("return bytes([len(raw)]) + raw", "return bytes([len(name)]) + raw"),
        ("lan_up=lan_up == 1", "lan_up=True"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Another byte order, width, shape or length is noticed."""
    broken = mutant(announcement, old, new)
    assert caught(announcements(), lambda parts: holds(broken, parts))


def canonical(data: bytes) -> None:
    """Assert that bytes are refused as documented, or are the one form of what they say."""
    try:
        told = decode(data)
    except AnnouncementError:
        return
    assert encode(told) == data


@given(st.binary(max_size=200), st.booleans())
def test_random_bytes_never_crash(data: bytes, headed: bool) -> None:
    """Bytes from nowhere give the documented error."""
    canonical((b"PA\x01\x01" if headed else b"") + data)


@given(announcements(), st.data())
def test_damaged_announcements_are_refused_or_canonical(parts: Parts, data: st.DataObject) -> None:
    """Flipped, missing, added and doubled bytes never crash and never have two readings."""
    good = bytearray(oracle.encoded(*parts))
    at = data.draw(st.integers(0, len(good) - 1))
    match data.draw(st.sampled_from(["flip", "cut", "insert", "double"])):
        case "flip":
            good[at] ^= data.draw(st.integers(1, 255))
        case "cut":
            del good[at:]
        case "insert":
            good.insert(at, data.draw(st.integers(0, 255)))
        case _:
            good *= 2
    canonical(bytes(good))


UP, DOWN = (True, -1, -1, -1, 0), (False, -1, -1, -1, 0)
GOOD = build(announcement, ((True, 1, 1, 0), "a", (("p",), ("voice",), ("b", "c")), [[UP], [DOWN]]))


def array(*values: Any, dtype: Any = np.int64) -> Any:
    return np.array(values, dtype=dtype)


@pytest.mark.parametrize(
    "change",
    [
        {"counter": -1},
        {"counter": 2**64},
        {"version": -1},
        {"sent_ns": 2**63},
        {"origin": ""},
        {"origin": "\ud800"},
        {"origin": "é" * 128},
        {"destinations": ("b", "a")},
        {"destinations": ("a", "a")},
        {"targets": ("b",)},
        {"classes": ()},
        {"destinations": tuple(f"{i:05}" for i in range(65_536))},
        {"usable": array([0], [2])},
        {"usable": array([1.0], [0.0], dtype=np.float64)},
        {"usable": array(1, 0)},
        {"rtt_ns": array([-2], [0])},
        {"jitter_ns": array([2**62 + 1], [0])},
        {"loss_ppm": array([10**6 + 1], [0])},
        {"loss_ppm": array([0, 0], [0, 0])},
        {"verdict": array([4], [0])},
        {"verdict": array([-1], [0])},
    ],
)
def test_values_out_of_range_are_not_encoded(change: dict[str, Any]) -> None:
    """What no receiver would take is refused at the sender already."""
    with pytest.raises(AnnouncementError):
        encode(replace(GOOD, **change))


def altered(old: bytes, new: bytes) -> bytes:
    data = encode(GOOD)
    assert data.count(old) == 1
    return data.replace(old, new)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "too early"),
        (altered(b"PA\x01", b"PB\x01"), "format"),
        (altered(b"PA\x01", b"PA\x02"), "format"),
        (altered(b"PA\x01\x01", b"PA\x01\x02"), "format"),
        (altered(b"\x01a\x01\x00\x01p", b"\x00\x01\x00\x01p"), "empty"),
        (altered(b"\x01p", b"\x01\xff"), "UTF-8"),
        (altered(b"\x01b\x01c", b"\x01c\x01b"), "order"),
        (altered(b"\x01b\x01c", b"\x01c\x01c"), "order"),
        (altered(b"\x01c\x01\x00", b"\x01c\x02\x00"), "usable"),
        (encode(GOOD) + b"\x00", "after its end"),
        (encode(GOOD)[:-1], "too early"),
        (bytes(BYTES_MAX + 1), "longer than"),
    ],
)
def test_each_kind_of_damage_is_named(data: bytes, says: str) -> None:
    """The error tells an operator what the peer got wrong."""
    with pytest.raises(AnnouncementError, match=says):
        decode(data)


def test_an_announcement_that_is_too_long_is_not_sent() -> None:
    """The bound holds for the sender too."""
    names = tuple(f"{i:0200}" for i in range(50_000))
    with pytest.raises(AnnouncementError, match="longer than"):
        encode(replace(GOOD, destinations=names))

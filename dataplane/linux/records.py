"""The records that kernel and user space share, as NumPy sees them.

Mirrors ``bpf/consts.h`` and ``bpf/records.h``: :func:`assertions` turns the dtypes into
C, and no program is compiled without them, so a layout that differs does not build.
Where memory starts zeroed, rows are kept as row + 1 (fields called ``row`` of 16 or 32
bits); moves hold plain rows.
"""

from collections.abc import Iterator, Mapping
from enum import IntEnum, IntFlag
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

LAYOUT: Final = 4
"""Grows with every change of what is pinned; see ``bpf/consts.h``."""

CLASSES_MAX: Final = 64
RULES_MAX: Final = 64
BUCKETS: Final = 4
FLOW_WAYS: Final = 8
FLOW_TICK: Final = 16
"""Times of flows are in units of 2**16 ns, modulo 2**32: they wrap in 78 hours."""
FLOW_SIX: Final = 0x80
"""Beside the class of a flow: its addresses are IPv6."""
OVERLAY_VERSION: Final = 1
OVERLAY_HEARS: Final = 0x80
OVERLAY_BUDGET: Final = 0x01
RULES_SEQUENCE: Final = 0x03F79D71B4CB0A89
"""A de Bruijn sequence: its top six bits differ whichever bit it is multiplied by."""
RANGE_INDEX: Final = 0x1FFFF
RANGE_KEYS4: Final = 16
RANGE_KEYS6: Final = 8
"""Of a node, which fills a cache line."""
RANGE_LEVELS: Final = 7
ENTRY_SHARE_1: Final = 8
ENTRY_SHARE_2: Final = 12


class Inner(IntEnum):
    """What follows the overlay header."""

    STAMP = 1
    IPV4 = 4
    IPV6 = 6


class Setting(IntFlag):
    """Flags of the settings."""

    MARK = 1 << 0
    """LAN ingress classifies and marks; the kernel forwards, its firewall applies."""
    DELIVER = 1 << 1
    """Packets out of tunnels are redirected to the LAN, past the firewall."""


class Kind(IntEnum):
    """Kinds of tunnels."""

    PLAIN = 0
    VXLAN = 1
    WIREGUARD = 2


class TunnelFlag(IntFlag):
    """Flags of a tunnel."""

    IN_USE = 1 << 0
    IPV6 = 1 << 1
    """The outer addresses are IPv6."""


class Twin(IntFlag):
    """Which of either end's two keys a WireGuard tunnel uses while keys rotate."""

    OWN = 1 << 0
    """Packets leave by our second device, from our second address inside."""
    PEER = 1 << 1
    """They go to the peer's second address, and so to its second key."""


class FlowFlag(IntFlag):
    """Flags of a flow, beside its rule."""

    FOLLOWS = 1 << 7
    """Begun by the peer: it takes the tunnel that the peer takes."""


FLOW_ASTRAY: Final = 1 << 6
"""Beside a flow's class: it left the peer's tunnel unled."""


class DestinationFlag(IntFlag):
    """Flags of a prefix's destination."""

    LOCAL = 1 << 0
    """It lies behind this site."""


class RangeFlag(IntFlag):
    """Flags of what a range leads to, beside the destination's index + 1."""

    LOCAL = 1 << 30
    DEEPER = 1 << 31
    """There are prefixes longer than what counts of its addresses: the trie knows."""


class EntryFlag(IntFlag):
    """Flags of an entry's word; its top sixteen bits."""

    DROP = 1 << 0
    SHARED_FATE = 1 << 1
    DIRECT = 1 << 2
    """The primary ends at the destination; the next two bits say so of the backups."""


class RulePlace(IntEnum):
    """Where a bank of the rules keeps what."""

    DSCP = 0
    PROTOCOL = 64
    FOUND = 320
    """Rule << 8 | class, where the rule's bit times ``RULES_SEQUENCE`` says."""
    ANY_TARGET = 384
    """Rules that name no prefix."""
    DEFAULT = 385
    """``RULES_MAX`` << 8 | the class of what no rule matches."""
    ANY_PORT = 386
    """Rules that name no port."""
    SOURCE_PORT = 512
    TARGET_PORT = 512 + 65536
    BANK = 512 + 2 * 65536


class CounterPlace(IntEnum):
    """Where one CPU keeps which counters."""

    OUTCOME = 0
    NOTE = 64
    CLASS = 128
    RULE = 192
    """One more than ``RULES_MAX``: the last is for packets that no rule matches."""
    TUNNEL = 320
    """Two a row: sent, received."""


class Outcome(IntEnum):
    """What became of a packet; each is counted exactly once, see ``bpf/consts.h``."""

    STEER_PRIMARY = 0
    STEER_BACKUP = 1
    STEER_ALL_DEAD = 2
    DROP_ALL_DEAD = 3
    DROP_NO_PATH = 4
    STEER_PINNED = 5
    STEER_SHARED = 6
    PASS_NOT_IP = 7
    PASS_MULTICAST = 8
    PASS_LOCAL = 9
    PASS_NO_DESTINATION = 10
    PASS_MALFORMED = 11
    PASS_TO_FRAGMENT = 12
    PASS_MARKED = 13
    REPLY_TIME_EXCEEDED = 14
    REPLY_TOO_BIG = 15
    DROP_TIME_EXCEEDED = 16
    DROP_TOO_BIG = 17
    DROP_NO_ROUTE = 18
    DROP_NO_ROOM = 19
    PASS_NOT_READY = 20
    PASS_NOT_OVERLAY = 21
    DROP_BAD_HEADER = 22
    DROP_BAD_TUNNEL = 23
    DROP_BAD_ADDRESS = 24
    DROP_BAD_SESSION = 25
    DROP_BAD_INNER = 26
    DELIVER_STACK = 27
    DELIVER_LAN = 28
    TRANSIT = 29
    TRANSIT_ALL_DEAD = 30
    TRANSIT_NO_DIRECT = 31
    TRANSIT_NO_BUDGET = 32
    TRANSIT_NO_DESTINATION = 33
    PROBE_PASSED = 34
    PROBE_REFLECTED = 35
    PROBE_RETURNED = 36
    DROP_BAD_PROBE = 37
    PASS_OTHER_HOST = 38


class Note(IntEnum):
    """What else happened to a packet, see ``bpf/consts.h``."""

    EXPIRED = 0
    RELEASED = 1
    MOVED = 2
    MOVE_LOST = 3
    FLOW_NEW = 4
    FLOW_FULL = 5
    PIN_MOVED = 6
    DRAINED = 7
    DRAIN_FORCED = 8
    RETURN_PINNED = 9
    FRAGMENT_FOLLOWED = 10
    FRAGMENT_ORPHAN = 11
    MSS_CLAMPED = 12
    DISPROVED = 13
    FLOW_EVICTED = 14
    ERROR_LIMITED = 15


_HOP = np.dtype([("until_ns", "i8"), ("hosts", "u1", 12), ("ifindex", "u4")])
_TUNNEL = np.dtype(
    [
        ("heard_ns", "i8"), ("confirmed_ns", "i8"), ("since_ns", "i8"), ("detect_ns", "i8"),
        ("sequence", "i8"), ("session_in", "u8"), ("latched", "?"), ("kind", "u1"),
        ("flags", "u2"), ("got", "u4"), ("restarts", "u8"),
        ("rx_gap", "u8"), ("rx_late", "u8"), ("rx_duplicate", "u8"),
        ("rx_packets", "u8", BUCKETS), ("line_1_spare", "u8"),
        ("tx_sequence", "u8"), ("tx_packets", "u8", BUCKETS), ("hop", _HOP),
        ("local", "u1", 16), ("remote", "u1", 16), ("session_out", "u8"), ("ifindex", "u4"),
        ("mark", "u4"), ("local_port", ">u2"), ("remote_port", ">u2"), ("peer_id", "u2"),
        ("mtu", "u2"), ("ifindex_twin", "u4"), ("twins", "u1"), ("line_3_spare", "u1", 3),
        ("delay_ns", "i8"), ("drain_until_ns", "i8"), ("peer_site", "u4"), ("transport", "u4"),
        ("drained", "u4"), ("line_4_zero", "u4"), ("line_4_spare", "u8", 4),
        ("probe", "u8", 24),
    ]
)  # fmt: skip
_SETTINGS = np.dtype(
    [
        ("layout", "u4"), ("flags", "u4"), ("heartbeat_ns", "i8"), ("stale_after_ns", "i8"),
        ("hold_ns", "i8"), ("rows", "u4"), ("entries", "u4"), ("classes", "u4"),
        ("counter_stride", "u4"), ("pinned_classes", "u8"), ("test_now_ns", "i8"),
        ("bank_word", "u8"), ("epoch", "u4"), ("lan_ifindex", "u4"), ("port", ">u2"),
        ("drain_slack_ms", "u2"), ("router_v4", "u1", 4), ("router_v6", "u1", 16),
        ("mark", "u4"), ("overlay_ifindex", "u4"), ("ranges", "u4", 2), ("awake_until_ns", "i8"),
        ("flow_key", "u4", 12), ("flow_sets", "u4"), ("line_3_zero", "u4"),
        ("pause_left_ns", "i8"),
    ]
)  # fmt: skip
_FLOW_KEY = np.dtype(
    [
        ("source", "u1", 16), ("target", "u1", 16), ("source_port", ">u2"),
        ("target_port", ">u2"), ("protocol", "u1"), ("family", "u1"), ("zero", "u2"),
    ]
)  # fmt: skip
_FLOW = np.dtype(
    [
        ("sequence", "u2"), ("row", "u2"), ("epoch", "u4"), ("destination", "u2"),
        ("class", "u1"), ("rule", "u1"), ("last", "u4"), ("source", "u1", 16),
        ("target", "u1", 16), ("source_port", ">u2"), ("target_port", ">u2"),
        ("protocol", "u1"), ("fetched", "u1"), ("bytes_high", "u2"), ("bytes_low", "u4"),
        ("packets", "u4"),
    ]
)  # fmt: skip
_FRAGMENT_KEY = np.dtype(
    [
        ("source", "u1", 16), ("target", "u1", 16), ("id", "u4"), ("protocol", "u1"),
        ("family", "u1"), ("zero", "u2"),
    ]
)  # fmt: skip
_MOVE = np.dtype(
    [
        ("ready", "u8"), ("number", "u8"), ("at_ns", "i8"), ("entry", "u4"),
        ("from_row", "i4"), ("to_row", "i4"), ("zero", "u4"),
    ]
)  # fmt: skip
_OVERLAY = np.dtype(
    [
        ("version_inner", "u1"), ("flags", "u1"), ("class", "u1"), ("segments", "u1"),
        ("tunnel", ">u2"), ("destination", ">u2"), ("sequence", ">u4"), ("session", ">u4", 2),
    ]
)  # fmt: skip

TUNNEL: Final = _TUNNEL
SETTINGS: Final = _SETTINGS
USED: Final = np.dtype([("row", "u4"), ("generation", "u4")])
HOP: Final = _HOP
LAN_HOP: Final = np.dtype(
    [
        ("source", "u1", 16), ("target", "u1", 16), ("hop", HOP), ("arrived_at", "u4"),
        ("mtu", "u4"),
    ]
)  # fmt: skip
PREFIX4: Final = np.dtype([("length", "u4"), ("address", "u1", 4)])
PREFIX6: Final = np.dtype([("length", "u4"), ("address", "u1", 16)])
RANGE4: Final = np.dtype([("key", "u4", RANGE_KEYS4)])
RANGE6: Final = np.dtype([("key", "u8", RANGE_KEYS6)])
RANGE_PLACE: Final = np.dtype([("bank", "u4", 2)])
DESTINATION: Final = np.dtype([("index", "u4"), ("flags", "u4")])
RULE_BITS: Final = np.dtype([("bank", "u8", 2)])
FLOW_KEY: Final = _FLOW_KEY
FLOW: Final = _FLOW
FLOW_SET: Final = np.dtype([("way", FLOW, FLOW_WAYS)])
FRAGMENT_KEY: Final = _FRAGMENT_KEY
FRAGMENT: Final = np.dtype([("source_port", ">u2"), ("target_port", ">u2"), ("zero", "u4")])
COUNT: Final = np.dtype([("packets", "u8"), ("bytes", "u8")])
MOVE: Final = _MOVE
RING: Final = np.dtype([(name, "u8") for name in "next head tail lost capacity".split()])
OVERLAY: Final = _OVERLAY
WORD: Final = np.dtype("u8")

STRUCTS: Final[Mapping[str, np.dtype[np.void]]] = MappingProxyType(
    {
        "hop": HOP, "tunnel": TUNNEL, "lan_hop": LAN_HOP, "settings": SETTINGS, "used": USED,
        "range4": RANGE4, "range6": RANGE6, "prefix4": PREFIX4, "prefix6": PREFIX6,
        "range_place": RANGE_PLACE, "destination": DESTINATION, "rule_bits": RULE_BITS,
        "flow_key": FLOW_KEY, "flow": FLOW, "flow_set": FLOW_SET, "fragment_key": FRAGMENT_KEY,
        "fragment": FRAGMENT, "count": COUNT,
        "move": MOVE, "ring": RING, "overlay": OVERLAY,
    }
)  # fmt: skip
"""By the names of the structs in C."""

ENUMS: Final[Mapping[str, type[IntEnum | IntFlag]]] = MappingProxyType(
    {
        "INNER_": Inner, "SETTING_": Setting, "KIND_": Kind, "TUNNEL_": TunnelFlag,
        "TWIN_": Twin, "DESTINATION_": DestinationFlag, "RANGE_": RangeFlag,
        "ENTRY_": EntryFlag, "FLOW_": FlowFlag,
        "RULES_": RulePlace, "COUNT_": CounterPlace, "": Outcome, "NOTE_": Note,
    }
)  # fmt: skip
"""By what their names begin with in C."""

_NUMBERS: Final = {
    "LAYOUT": LAYOUT, "CLASSES_MAX": CLASSES_MAX, "RULES_MAX": RULES_MAX, "BUCKETS": BUCKETS,
    "OVERLAY_VERSION": OVERLAY_VERSION, "OVERLAY_HEARS": OVERLAY_HEARS,
    "OVERLAY_BUDGET": OVERLAY_BUDGET, "ENTRY_SHARE_1": ENTRY_SHARE_1,
    "ENTRY_SHARE_2": ENTRY_SHARE_2, "RULES_SEQUENCE": RULES_SEQUENCE,
    "OUTCOMES": len(Outcome), "NOTES": len(Note), "FLOW_WAYS": FLOW_WAYS,
    "FLOW_TICK": FLOW_TICK, "FLOW_ASTRAY": FLOW_ASTRAY, "FLOW_SIX": FLOW_SIX,
    "RANGE_INDEX": RANGE_INDEX, "RANGE_KEYS4": RANGE_KEYS4, "RANGE_KEYS6": RANGE_KEYS6,
    "RANGE_LEVELS": RANGE_LEVELS,
}  # fmt: skip


def assertions() -> str:
    """Return C that does not compile where C and NumPy disagree."""
    return "".join(f'_Static_assert({claim}, "{claim}");\n' for claim in _claims())


def _claims() -> Iterator[str]:
    for name, dtype in STRUCTS.items():
        yield f"sizeof(struct {name}) == {dtype.itemsize}"
        assert dtype.fields is not None, "a struct"
        for field, (kind, offset, *_) in dtype.fields.items():
            yield f"__builtin_offsetof(struct {name}, {field}) == {offset}"
            yield f"sizeof(((struct {name} *)0)->{field}) == {kind.itemsize}"
    for name, value in _NUMBERS.items():
        yield f"{name} == {value}"
    for start, enum in ENUMS.items():
        for member in enum:
            yield f"{start}{member.name} == {int(member)}"


def zeros(dtype: np.dtype[np.void], count: int = 1) -> npt.NDArray[np.void]:
    """Return records of zeroes, as fresh maps hold them."""
    return np.zeros(count, dtype=dtype)

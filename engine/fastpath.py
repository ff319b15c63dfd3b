"""What the kernel does with one packet, written plainly.

This file is the reference of the packet-time rule: the BPF programs are tested
against it packet by packet, and the in-memory dataplane applies its vector form.
It needs no engine and no agent: only the entry, the tunnels' stamps and the time. Flows that are
pinned to a tunnel are in :mod:`patronus.engine.pinning`.

*Two stamps.* ``heard_ns``: any authenticated packet arrived. ``confirmed_ns``:
proof that the peer hears us, i.e. our own probe came back or the peer said so
with the H bit. Only the second one makes a tunnel usable for sending, since a
cut of one direction leaves the first one fresh.

*One boundary, the same everywhere.* A stamp is fresh at ``now`` while
``now - stamp <= detect``; the first instant at which it is stale is
``stamp + detect + 1`` (:func:`expiry_ns`). The equality matters: with steady
delays the probe after two lost ones arrives exactly three intervals after the
last stamp, and a multiplier of three must survive it.

*The latch.* Expiry sets a down latch that outlives the silence. Only the engine
clears it; while the local agent is stale the kernel does so itself, after a hold
of unbroken confirmation. Hence a flapping tunnel does not flip packets to and
fro when nobody is there to damp it.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from patronus.engine.forwarding import NO_ROW, Bool
from patronus.engine.overlay import I32, I64
from patronus.engine.units import LONG_AGO, NEVER

I8 = npt.NDArray[np.int8]

_SEQUENCE_HALF: Final = 2**31
_SEQUENCE_MASK: Final = 2**32 - 1


class Counter(IntEnum):
    """Why a packet took its way; the dataplane counts each of them."""

    PRIMARY = 0
    BACKUP = 1
    ALL_DEAD = 2
    """No candidate is usable: the last used one carries it (fail static)."""
    DROPPED = 3
    """No candidate is usable and the class says drop."""
    NO_PATH = 4
    """The entry has no candidate at all."""


class Verdict(NamedTuple):
    """Where one packet goes."""

    row: int
    """The tunnel, ``NO_ROW`` for nowhere."""
    counter: Counter


class Verdicts(NamedTuple):
    """Where many packets go; arrays of equal length."""

    rows: I32
    counters: I8
    """Values of :class:`Counter`."""


class Entry(NamedTuple):
    """One forwarding entry as the kernel sees it."""

    rows: tuple[int, int, int]
    """Primary, first and second backup; ``NO_ROW`` for none."""
    drop: bool = False
    last: int = NO_ROW
    """The row that carried the packet before."""


class Tunnel(NamedTuple):
    """The kernel's record of one tunnel; new ones start silent and latched."""

    detect_ns: int
    heard_ns: int = LONG_AGO
    confirmed_ns: int = LONG_AGO
    sequence: int = -1
    """The newest 32-bit sequence number received, -1 before the first."""
    latched: bool = True
    since_ns: int = NEVER
    """Start of the present unbroken confirmation, ``NEVER`` while silent."""


class Packet(NamedTuple):
    """What the receive side looks at in an authenticated packet of the peer."""

    sequence: int
    hears: bool
    """The H bit: the peer heard us within its detect time."""
    reflection: bool = False
    """It is our own probe, reflected."""


def expiry_ns(confirmed_ns: int, detect_ns: int) -> int:
    """Return the first instant at which a stamp is stale."""
    return confirmed_ns + detect_ns + 1


def fresh(stamp_ns: int, detect_ns: int, now_ns: int) -> bool:
    """Tell whether a stamp is young enough at ``now_ns``."""
    return now_ns - stamp_ns <= detect_ns


def hears(tunnel: Tunnel, now_ns: int) -> bool:
    """Return the H bit of a packet sent on this tunnel now."""
    return fresh(tunnel.heard_ns, tunnel.detect_ns, now_ns)


def usable(tunnel: Tunnel, now_ns: int) -> bool:
    """Tell whether a packet may be sent on this tunnel now."""
    return not tunnel.latched and fresh(tunnel.confirmed_ns, tunnel.detect_ns, now_ns)


def newer(sequence: int, than: int) -> bool:
    """Compare 32-bit sequence numbers across the wrap (RFC 1982, section 3.2)."""
    return than < 0 or 0 < ((sequence - than) & _SEQUENCE_MASK) < _SEQUENCE_HALF


def expire(tunnel: Tunnel, now_ns: int) -> Tunnel:
    """Set the latch if the proof is stale; whoever looks at a tunnel does this first."""
    if fresh(tunnel.confirmed_ns, tunnel.detect_ns, now_ns):
        return tunnel
    return tunnel._replace(latched=True, since_ns=NEVER)


def arrive(tunnel: Tunnel, packet: Packet, now_ns: int) -> Tunnel:
    """Stamp an authenticated packet that arrived now.

    Our own reflection is proof by itself. The H bit counts in the newest packet
    only: one that was overtaken tells of the past. After silence the numbering
    starts afresh, since the peer may have restarted.
    """
    tunnel = expire(tunnel, now_ns)
    restarted = not fresh(tunnel.heard_ns, tunnel.detect_ns, now_ns)
    newest = restarted or newer(packet.sequence, tunnel.sequence)
    tunnel = tunnel._replace(heard_ns=now_ns)
    if newest:
        tunnel = tunnel._replace(sequence=packet.sequence)
    if packet.reflection or (newest and packet.hears):
        return _confirm(tunnel, now_ns)
    if newest:
        return _disprove(tunnel, now_ns)
    return tunnel


def _confirm(tunnel: Tunnel, now_ns: int) -> Tunnel:
    return tunnel._replace(confirmed_ns=now_ns, since_ns=min(tunnel.since_ns, now_ns))


def _disprove(tunnel: Tunnel, now_ns: int) -> Tunnel:
    # The stamp is put back so far that it expires at this very instant.
    gone_ns = now_ns - tunnel.detect_ns - 1
    return expire(tunnel._replace(confirmed_ns=min(tunnel.confirmed_ns, gone_ns)), now_ns)


def clear(tunnel: Tunnel, now_ns: int) -> Tunnel:
    """Clear the latch as the engine asks; a silent tunnel keeps it."""
    tunnel = expire(tunnel, now_ns)
    return tunnel._replace(latched=tunnel.since_ns == NEVER)


def release(tunnel: Tunnel, *, hold_ns: int, agent_stale: bool, now_ns: int) -> Tunnel:
    """Clear the latch in the agent's place, if it is due; precedes every look at it."""
    tunnel = expire(tunnel, now_ns)
    due = tunnel.since_ns != NEVER and now_ns - tunnel.since_ns >= hold_ns
    return tunnel._replace(latched=tunnel.latched and not (due and agent_stale))


def steer(entry: Entry, tunnels: Mapping[int, Tunnel], now_ns: int) -> Verdict:
    """Return where a packet of this entry goes now."""
    for position, row in enumerate(entry.rows):
        if row != NO_ROW and usable(tunnels[row], now_ns):
            return Verdict(row, Counter.BACKUP if position else Counter.PRIMARY)
    if entry.drop:
        return Verdict(NO_ROW, Counter.DROPPED)
    known = [row for row in entry.rows if row != NO_ROW]
    if not known:
        return Verdict(NO_ROW, Counter.NO_PATH)
    return Verdict(entry.last if entry.last in known else known[0], Counter.ALL_DEAD)


def usable_rows(confirmed_ns: I64, detect_ns: I64, latched: Bool, now_ns: I64 | int) -> Bool:
    """Return :func:`usable` for arrays of equal shape."""
    result: Bool = now_ns - confirmed_ns <= detect_ns
    result &= ~latched
    return result


def steer_many(rows: I32, drop: Bool, last: I32, alive: Bool) -> Verdicts:
    """Return :func:`steer` for many entries.

    Args:
        rows: shape (n, 3), the candidates in order.
        drop: shape (n,).
        last: shape (n,), the row that carried each entry before.
        alive: shape (n, 3), whether each candidate is usable; ignored for ``NO_ROW``.
    """
    out = np.full(len(rows), NO_ROW, dtype=np.int32)
    counters = np.full(len(rows), int(Counter.NO_PATH), dtype=np.int8)
    dead = np.ones(len(rows), dtype=np.bool_)
    for place, row in enumerate(rows.T):
        takes = dead & alive[:, place]
        takes &= row != NO_ROW
        np.copyto(out, row, where=takes)
        np.copyto(counters, int(Counter.BACKUP if place else Counter.PRIMARY), where=takes)
        dead ^= takes
        if not dead.any():  # mostly, and with the primaries
            return Verdicts(out, counters)
    static, holds_last = np.full(len(rows), NO_ROW, dtype=np.int32), np.zeros_like(dead)
    for row in rows.T[::-1]:
        known = row != NO_ROW
        np.copyto(static, row, where=known)
        holds_last |= known & (row == last)
    np.copyto(static, last, where=holds_last)
    np.copyto(counters, int(Counter.ALL_DEAD), where=dead & (static != NO_ROW))
    np.copyto(out, static, where=dead & ~drop)
    counters[drop & dead] = int(Counter.DROPPED)
    return Verdicts(out, counters)

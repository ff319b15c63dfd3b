"""Takes test packets out of one socket, many at once, and answers them.

What programs of BPF do with a test packet, done by NumPy for all that wait: the same frames
(overlay header, STAMP, liveness TLV; see ``bpf/stamp.h``), the same checks in the same order, and
the same counters. They come as UDP datagrams through the tunnel's own device, so that they prove
the way that users' packets take. A session of 64 bits must be right, and the source address that
of the tunnel's peer.

Times are those at which the kernel took a packet from its device (``SO_TIMESTAMPNS``, brought over
to the monotonic clock): waiting in the socket is neither round trip nor way out.
"""

import ctypes
import socket
import time
from typing import Final

import numpy as np
import numpy.typing as npt

from patronus.dataplane.linux import records
from patronus.dataplane.linux.probing import SAMPLES, Records, probing_of
from patronus.dataplane.linux.records import (
    OVERLAY_HEARS,
    OVERLAY_VERSION,
    CounterPlace,
    Inner,
    Outcome,
    TunnelFlag,
)
from patronus.dataplane.nexthops.dataplane import NexthopDataplane
from patronus.dataplane.nexthops.memory import Memory
from patronus.dataplane.stamp.batch import FRAME, drains
from patronus.dataplane.stamp.fields import ErrorEstimate
from patronus.dataplane.stamp.tlv import (
    HEARS,
    LIVENESS_OCTETS,
    LIVENESS_VERSION,
    NEVER_HEARD,
    Drain,
    Type,
)
from patronus.dataplane.stamp.udp import SO_TIMESTAMPNS
from patronus.engine.overlay import I64
from patronus.engine.units import SECOND, US

MESSAGES: Final = 256
"""Of one call; more wait for the next."""
PROBE, REFLECTION = 0, 1
"""The class in the overlay header of a test packet."""
AGE_MAX: Final = 1024
"""Probes that may be under way, as in ``bpf/probe.h``."""
TTL: Final = 255
"""A tunnel is one hop."""

_MASK: Final = 2**32 - 1
_FRAME = np.dtype(
    [
        ("overlay", records.OVERLAY),
        ("sequence", ">u4"), ("sent", ">u4", 2), ("error", ">u2"), ("ssid", ">u2"),
        ("received", ">u4", 2), ("sender_sequence", ">u4"), ("sender_sent", ">u4", 2),
        ("sender_error", ">u2"), ("zero", "u2"), ("sender_ttl", "u1"), ("zeroes", "u1", 3),
        ("tlv_flags", "u1"), ("tlv_type", "u1"), ("tlv_length", ">u2"),
        ("hears", "u1"), ("version", "u1"), ("tlv_zero", "u2"),
        ("number", ">u4"), ("session", ">u4", 2), ("heard_age_us", ">u4"),
        ("probes_sent", ">u4"), ("probes_told", ">u4"), ("probes_heard", ">u4"),
        ("data_sent", ">u4"), ("data_told", ">u4"), ("data_heard", ">u4"),
        ("beyond", "u1", 4),
    ]
)  # fmt: skip
_OCTETS: Final = FRAME.itemsize
assert _FRAME.itemsize == _OCTETS + 4, "one octet more than we take shows that it is too long"

_MESSAGE: Final = np.dtype(
    [
        ("name", "u8"), ("name_octets", "u4"), ("pad", "u4"), ("iov", "u8"), ("iov_count", "u8"),
        ("control", "u8"), ("control_octets", "u8"), ("flags", "u4"), ("pad2", "u4"),
        ("octets", "u4"), ("pad3", "u4"),
    ]
)  # fmt: skip
"""struct mmsghdr of x86-64, the platform that we claim."""
_IOVEC: Final = np.dtype([("base", "u8"), ("octets", "u8")])
_NAME: Final = np.dtype(
    [("family", "u2"), ("port", ">u2"), ("flow", "u4"), ("address", "u1", 16), ("scope", "u4")]
)
"""struct sockaddr_in6."""
_CONTROL: Final = np.dtype(
    [("length", "u8"), ("level", "i4"), ("kind", "i4"), ("second", "i8"), ("rest", "i8")]
)
"""struct cmsghdr with a struct timespec."""
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Reception:
    """One socket, and the tunnels whose packets come to it."""

    def __init__(self, memory: Memory, plane: NexthopDataplane, opened: socket.socket) -> None:
        """Prepare; the socket is bound, of IPv6, and does not block."""
        opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._descriptor, self._plane = opened.fileno(), plane
        self._tunnels: Records = plane.tunnels
        self._probing = probing_of(self._tunnels)
        self._samples = memory.array("samples").reshape(-1, SAMPLES)
        self._outcomes = memory.array("counters")["packets"]
        self._frames: Records = np.zeros(MESSAGES, dtype=_FRAME)
        self._names: Records = np.zeros(MESSAGES, dtype=_NAME)
        self._controls: Records = np.zeros(MESSAGES, dtype=_CONTROL)
        self._iovecs: Records = np.zeros(MESSAGES, dtype=_IOVEC)
        self._messages: Records = np.zeros(MESSAGES, dtype=_MESSAGE)
        self._wire()

    def _wire(self) -> None:
        """Let messages point at their parts."""
        number = np.arange(MESSAGES, dtype=np.uint64)
        parts = (("name", self._names), ("iov", self._iovecs), ("control", self._controls))
        for field, part in parts:
            self._messages[field] = part.ctypes.data + number * np.uint64(part.itemsize)
        self._messages["iov_count"] = 1
        self._iovecs["base"] = self._frames.ctypes.data + number * np.uint64(_FRAME.itemsize)

    def take(self) -> int:
        """Take and answer what waits; return how many datagrams that was."""
        messages = self._messages
        messages["name_octets"], messages["control_octets"] = _NAME.itemsize, _CONTROL.itemsize
        self._iovecs["octets"] = _OCTETS + 1
        count = int(
            _LIBC.recvmmsg(
                self._descriptor, ctypes.c_void_p(messages.ctypes.data), MESSAGES,
                socket.MSG_DONTWAIT, None,
            )
        )  # fmt: skip
        if count > 0:
            self._handle(np.arange(count), self._came_ns(count))
        return max(count, 0)

    def _came_ns(self, count: int) -> I64:
        """Return when each came, by the monotonic clock."""
        now_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        controls = self._controls[:count]
        waited_ns = wall_ns - (controls["second"] * SECOND + controls["rest"])
        known = (self._messages["control_octets"][:count] >= _CONTROL.itemsize) & (
            controls["kind"] == SO_TIMESTAMPNS
        )
        # Within these lines nobody sets the clock; if so, they came now.
        known &= (waited_ns >= 0) & (waited_ns < SECOND)
        came: I64 = now_ns - np.where(known, waited_ns, 0).astype(np.int64)
        return came

    def _handle(self, at: I64, came_ns: I64) -> None:
        rows = self._frames["overlay"]["tunnel"][at].astype(np.int64)
        for outcome, wrong in self._checks(at, rows):
            self._count(outcome, int(wrong.sum()))
            at, rows, came_ns = at[~wrong], rows[~wrong], came_ns[~wrong]
        answers = []
        while len(at):
            # In the order in which they came, one of each row at a time.
            _, first = np.unique(rows, return_index=True)
            answers.append(self._arrived(at[first], rows[first], came_ns[first]))
            left = np.ones(len(at), dtype=np.bool_)
            left[first] = False
            at, rows, came_ns = at[left], rows[left], came_ns[left]
        if answers and len(probes := np.concatenate(answers)):
            self._send(probes)

    def _checks(self, at: I64, rows: I64) -> list[tuple[Outcome, npt.NDArray[np.bool_]]]:
        """Return why packets are refused; each mask is about those that earlier ones left."""
        wrong_tunnel = rows >= len(self._tunnels)
        tunnel = self._tunnels[np.where(wrong_tunnel, 0, rows)]
        frames = self._frames[at]
        masks = [
            (Outcome.DROP_BAD_HEADER, self._bad_header(at, frames)),
            (Outcome.DROP_BAD_TUNNEL, wrong_tunnel | (tunnel["flags"] & TunnelFlag.IN_USE == 0)),
            (Outcome.DROP_BAD_ADDRESS, (self._names["address"][at] != tunnel["remote"]).any(1)),
            (Outcome.DROP_BAD_SESSION, _long(frames["overlay"]["session"]) != tunnel["session_in"]),
            (Outcome.DROP_BAD_PROBE, self._bad_probe(at, rows, tunnel)),
        ]
        kept, found = np.ones(len(at), dtype=np.bool_), []
        for outcome, wrong in masks:
            found.append((outcome, wrong[kept]))
            kept &= ~wrong
        return found

    def _bad_header(self, at: I64, frames: Records) -> npt.NDArray[np.bool_]:
        right = OVERLAY_VERSION << 4 | Inner.STAMP
        bad: npt.NDArray[np.bool_] = frames["overlay"]["version_inner"] != right
        bad |= self._messages["octets"][at] < records.OVERLAY.itemsize
        return bad

    def _bad_probe(self, at: I64, rows: I64, tunnel: Records) -> npt.NDArray[np.bool_]:
        frames = self._frames[at]
        kind = frames["overlay"]["class"]
        bad: npt.NDArray[np.bool_] = kind > REFLECTION
        bad |= self._messages["octets"][at] != _OCTETS
        bad |= (frames["tlv_type"] != Type.LIVENESS) | (frames["version"] != LIVENESS_VERSION)
        bad |= (frames["tlv_length"] != LIVENESS_OCTETS) | (frames["error"] != ErrorEstimate().raw)
        # A reflection must be of this session and lately sent.
        sent = probing_of(tunnel)["sent"].astype(np.int64)
        age = (sent - 1 - frames["sender_sequence"].astype(np.int64)) & _MASK
        strange = (frames["ssid"] != rows + 1) | (age >= AGE_MAX)
        strange |= _time_ns(frames["sender_sent"]) > time.monotonic_ns()
        bad |= (kind == REFLECTION) & strange
        return bad

    def _arrived(self, at: I64, rows: I64, came_ns: I64) -> I64:
        """Stamp and count packets of different rows; return those that are to be answered."""
        frames = self._frames[at]
        reflected = frames["overlay"]["class"] == REFLECTION
        self._plane.arrive(
            rows, sequence=frames["overlay"]["sequence"].astype(np.int64),
            hears=frames["overlay"]["flags"] & OVERLAY_HEARS != 0, reflection=reflected,
            now_ns=came_ns,
        )  # fmt: skip
        self._probing["heard"][rows[~reflected]] += 1
        self._listen(frames, rows, came_ns)
        self._keep(frames[reflected], rows[reflected], came_ns[reflected])
        probes: I64 = at[~reflected]
        self._answer(probes, rows[~reflected], came_ns[~reflected])
        self._count(Outcome.PROBE_RETURNED, int(reflected.sum()))
        self._count(Outcome.PROBE_REFLECTED, len(probes))
        return probes

    def _listen(self, frames: Records, rows: I64, came_ns: I64) -> None:
        """Keep what the newest packet of each peer tells."""
        newest = self._tunnels["sequence"][rows] == frames["number"]
        frames, rows, probing = frames[newest], rows[newest], self._probing
        probing["told_ns"][rows] = came_ns[newest]
        probing["in_probes"][rows] = frames["probes_sent"]
        probing["in_data"][rows] = frames["data_sent"].astype(np.uint64) << np.uint64(32)
        probing["peer_age_us"][rows] = frames["heard_age_us"]
        probing["peer_drains"][rows] = frames["hears"] & (Drain.ASKED | Drain.OVERDUE)
        for field, told, heard in (
            ("out_probes", "probes_told", "probes_heard"), ("out_data", "data_told", "data_heard"),
        ):  # fmt: skip
            pair = frames[told].astype(np.uint64) << np.uint64(32) | frames[heard]
            probing[field][rows] = pair

    def _keep(self, frames: Records, rows: I64, came_ns: I64) -> None:
        """Put probes that came back where samples are read."""
        number = self._probing["returned"][rows].astype(np.int64)
        sample = np.zeros(len(rows), dtype=self._samples.dtype)
        sample["sent_ns"] = _time_ns(frames["sender_sent"])
        sample["received_ns"] = _time_ns(frames["received"])
        sample["reflected_ns"], sample["arrived_ns"] = _time_ns(frames["sent"]), came_ns
        sample["sequence"], sample["heard"] = frames["sender_sequence"], frames["probes_heard"]
        sample["out_data"] = frames["data_told"].astype(np.uint64) << np.uint64(32)
        sample["ready"] = number + 1
        self._samples[rows, number % SAMPLES] = sample
        self._probing["returned"][rows] += 1

    def _answer(self, at: I64, rows: I64, came_ns: I64) -> None:
        """Make reflections of probes, where they lie."""
        frame, tunnel = self._frames[at], self._tunnels[rows]
        probing, now_ns = self._probing[rows], time.monotonic_ns()
        age_ns = now_ns - tunnel["heard_ns"]
        hears, overlay = age_ns <= tunnel["detect_ns"], frame["overlay"]
        overlay["class"], overlay["flags"] = REFLECTION, OVERLAY_HEARS * hears
        overlay["tunnel"], overlay["session"] = tunnel["peer_id"], _halves(tunnel["session_out"])
        overlay["sequence"] = frame["number"] = tunnel["tx_sequence"] & _MASK
        for theirs, ours in (("sender_sequence", "sequence"), ("sender_sent", "sent"),
                             ("sender_error", "error")):  # fmt: skip
            frame[theirs] = frame[ours]
        frame["sender_ttl"], frame["tlv_flags"] = TTL, 0
        frame["hears"] = HEARS * hears | drains(tunnel, now_ns)
        frame["sequence"] = (probing["heard"] - 1) & _MASK
        frame["received"], frame["sent"] = _stamps(came_ns), divmod(now_ns, SECOND)
        frame["session"] = overlay["session"]
        frame["heard_age_us"] = np.minimum(age_ns // US, NEVER_HEARD)
        frame["probes_sent"], frame["probes_told"] = probing["sent"] & _MASK, probing["in_probes"]
        frame["probes_heard"] = probing["heard"] & _MASK
        frame["data_sent"] = frame["data_told"] = frame["data_heard"] = 0
        self._frames[at] = frame
        self._tunnels["tx_sequence"][rows] += 1

    def _send(self, at: I64) -> None:
        """Send reflections back to where their probes came from, with one system call."""
        self._iovecs["octets"][at] = _OCTETS
        part = self._messages[at]
        part["control"] = part["control_octets"] = 0
        done = 0
        while done < len(part):
            rest = part[done:]
            sent = int(_LIBC.sendmmsg(
                self._descriptor, ctypes.c_void_p(rest.ctypes.data), len(rest), socket.MSG_DONTWAIT
            ))  # fmt: skip
            done += max(sent, 0) + (sent < len(rest))  # one that has no way is left out

    def _count(self, outcome: Outcome, count: int) -> None:
        self._outcomes[CounterPlace.OUTCOME + outcome] += count


def _long(halves: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint64]:
    wide = halves.astype(np.uint64)
    both: npt.NDArray[np.uint64] = wide[:, 0] << np.uint64(32) | wide[:, 1]
    return both


def _halves(long: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    return np.stack([long >> np.uint64(32), long & np.uint64(_MASK)], axis=1)


def _time_ns(stamp: npt.NDArray[np.uint32]) -> I64:
    wide = stamp.astype(np.int64)
    times: I64 = wide[:, 0] * SECOND + wide[:, 1]
    return times


def _stamps(times_ns: I64) -> I64:
    stamps: I64 = np.stack(np.divmod(times_ns, SECOND), axis=1)
    return stamps

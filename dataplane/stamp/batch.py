"""Many probes at once: their bytes in one array, on their way with one system call.

For senders in user space. Each row has its frame (overlay header, STAMP probe, liveness TLV)
and its ``struct mmsghdr`` in NumPy memory; per batch only what changes is written, for all
rows that are due together. Nobody else may number packets of these rows.
"""

import ctypes
import os
import socket
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from patronus.dataplane.linux import records
from patronus.dataplane.linux.probing import Records, probing_of
from patronus.dataplane.linux.records import OVERLAY_HEARS, OVERLAY_VERSION, Inner, TunnelFlag
from patronus.dataplane.stamp.fields import ErrorEstimate
from patronus.dataplane.stamp.tlv import (
    FLAG_U,
    HEARS,
    LIVENESS_OCTETS,
    LIVENESS_VERSION,
    NEVER_HEARD,
    Drain,
    Type,
)
from patronus.engine.overlay import I64
from patronus.engine.units import SECOND, US

MESSAGES_MAX: Final = 1024
"""Of one call (UIO_MAXIOV)."""

_MASK: Final = 2**32 - 1

_FRAME = np.dtype(
    [
        ("overlay", records.OVERLAY),
        ("sequence", ">u4"), ("sent", ">u4", 2), ("error", ">u2"), ("ssid", ">u2"),
        ("zero", "u1", 28),
        ("tlv_flags", "u1"), ("tlv_type", "u1"), ("tlv_length", ">u2"),
        ("hears", "u1"), ("version", "u1"), ("tlv_zero", "u2"),
        ("number", ">u4"), ("session", ">u4", 2), ("heard_age_us", ">u4"),
        ("probes_sent", ">u4"), ("probes_told", ">u4"), ("probes_heard", ">u4"),
        ("data_sent", ">u4"), ("data_told", ">u4"), ("data_heard", ">u4"),
    ]
)  # fmt: skip
FRAME: Final = _FRAME

# struct mmsghdr and struct iovec of x86-64, the platform that we claim.
_MESSAGE: Final = np.dtype(
    [
        ("name", "u8"), ("name_octets", "u4"), ("pad", "u4"), ("iov", "u8"), ("iov_count", "u8"),
        ("control", "u8"), ("control_octets", "u8"), ("flags", "u4"), ("pad2", "u4"),
        ("sent", "u4"), ("pad3", "u4"),
    ]
)  # fmt: skip
_IOVEC: Final = np.dtype([("base", "u8"), ("octets", "u8")])
_NAME_OCTETS: Final = 28  # struct sockaddr_in6; sockaddr_in has 16

_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Batch:
    """The probes of all rows of a table of tunnels."""

    def __init__(self, tunnels: Records) -> None:
        """Prepare frames; the records' addresses are read once."""
        self._tunnels, self._probing = tunnels, probing_of(tunnels)
        rows = len(tunnels)
        self.frames: Records = np.zeros(rows, dtype=FRAME)
        self._names: npt.NDArray[np.uint8] = np.zeros((rows, _NAME_OCTETS), dtype=np.uint8)
        self._iovecs: Records = np.zeros(rows, dtype=_IOVEC)
        self._messages: Records = np.zeros(rows, dtype=_MESSAGE)
        self._constants()
        self._addresses()

    def _constants(self) -> None:
        frames, tunnels, rows = self.frames, self._tunnels, np.arange(len(self.frames))
        overlay = frames["overlay"]
        overlay["version_inner"] = OVERLAY_VERSION << 4 | Inner.STAMP
        overlay["segments"], overlay["tunnel"] = 1, tunnels["peer_id"]
        session = tunnels["session_out"]
        halves = np.stack([session >> np.uint64(32), session & np.uint64(_MASK)], axis=1)
        overlay["session"] = frames["session"] = halves
        frames["error"], frames["ssid"] = ErrorEstimate().raw, rows + 1
        frames["tlv_flags"], frames["tlv_type"] = FLAG_U, Type.LIVENESS
        frames["tlv_length"], frames["version"] = LIVENESS_OCTETS, LIVENESS_VERSION

    def _addresses(self) -> None:
        for row, tunnel in enumerate(self._tunnels):
            name = _socket_address(tunnel)
            self._names[row, : len(name)] = np.frombuffer(name, dtype=np.uint8)
            self._messages["name_octets"][row] = len(name)
        rows = np.arange(len(self.frames), dtype=np.uint64)
        for field, memory in (("name", self._names), ("iov", self._iovecs)):
            self._messages[field] = memory.ctypes.data + rows * np.uint64(memory.strides[0])
        self._messages["iov_count"] = 1
        self._iovecs["base"] = self.frames.ctypes.data + rows * np.uint64(FRAME.itemsize)
        self._iovecs["octets"] = FRAME.itemsize

    def fill(self, rows: I64, now_ns: int) -> None:
        """Write the probes of some rows that leave now, and count them."""
        tunnel, probing = self._tunnels[rows], self._probing[rows]
        frame = self.frames[rows]
        age_ns = now_ns - tunnel["heard_ns"]
        hears = age_ns <= tunnel["detect_ns"]
        frame["overlay"]["flags"] = OVERLAY_HEARS * hears
        frame["hears"] = HEARS * hears | drains(tunnel, now_ns)
        frame["overlay"]["sequence"] = frame["number"] = tunnel["tx_sequence"] & _MASK
        frame["sequence"] = probing["sent"] & _MASK
        frame["sent"] = divmod(now_ns, SECOND)
        frame["heard_age_us"] = np.minimum(age_ns // US, NEVER_HEARD)
        frame["probes_sent"] = (probing["sent"] + 1) & _MASK
        frame["probes_told"], frame["probes_heard"] = probing["in_probes"], probing["heard"] & _MASK
        frame["data_sent"] = tunnel["tx_packets"].sum(axis=1) & _MASK
        frame["data_told"] = probing["in_data"] >> np.uint64(32)
        frame["data_heard"] = probing["in_data"] & _MASK
        self.frames[rows] = frame
        self._tunnels["tx_sequence"][rows] += 1
        self._probing["sent"][rows] += 1
        self._probing["sent_ns"][rows] = now_ns

    def send(self, rows: I64, descriptor: int) -> int:
        """Send the probes of some rows through a socket; return how many went.

        What a route or a full queue keeps back is left out: a late probe is of no use.
        """
        went, at = 0, 0
        while at < len(rows):
            part = self._messages[rows[at : at + MESSAGES_MAX]]
            done = _sendmmsg(descriptor, part)
            # The one that failed is the first that was not sent.
            went, at = went + done, at + (done if done == len(part) else done + 1)
        return went


def drains(tunnels: Records, now_ns: int) -> npt.NDArray[np.uint8]:
    """Return what packets of tunnels say of planned moves (``bpf/stamp.h``)."""
    over = now_ns >= tunnels["drain_until_ns"]
    said = np.where(over, Drain.ASKED | Drain.OVERDUE, Drain.ASKED)
    return np.where(tunnels["drained"] != 0, said, 0).astype(np.uint8)


def _sendmmsg(descriptor: int, messages: Records) -> int:
    done = int(_LIBC.sendmmsg(descriptor, ctypes.c_void_p(messages.ctypes.data), len(messages), 0))
    return max(done, 0)


def _socket_address(tunnel: np.void) -> bytes:
    """Return a struct sockaddr of the far end."""
    port, remote = int(tunnel["remote_port"]).to_bytes(2), bytes(tunnel["remote"])
    if tunnel["flags"] & TunnelFlag.IPV6:
        return socket.AF_INET6.to_bytes(2, "little") + port + bytes(4) + remote + bytes(4)
    return socket.AF_INET.to_bytes(2, "little") + port + remote[:4] + bytes(8)


def descriptors(text: str) -> Sequence[int]:
    """Return descriptors from a list like ``7,8``; each must be open.

    Raises:
        OSError: one is not.
        ValueError: one is no number.
    """
    found = [int(word) for word in text.split(",")]
    for descriptor in found:
        os.fstat(descriptor)
    return found

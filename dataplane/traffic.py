"""Queueing disciplines and BPF filters (linux/rtnetlink.h, pkt_sched.h, pkt_cls.h).

Everything happens in the network namespace of the calling thread.
"""

import errno
import socket
import struct
from typing import Final, NamedTuple

from patronus.dataplane.rtnetlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    attribute,
    attributes,
    change,
    dump,
    nested,
)

RTM_NEWQDISC: Final = 36
RTM_GETQDISC: Final = 38
RTM_NEWTFILTER: Final = 44
RTM_DELTFILTER: Final = 45
RTM_GETTFILTER: Final = 46

TCA_KIND, TCA_OPTIONS = 1, 2
TCA_BPF_FD, TCA_BPF_NAME, TCA_BPF_FLAGS = 6, 7, 8
TCA_BPF_FLAG_ACT_DIRECT: Final = 1
TCA_TBF_PARMS, TCA_TBF_BURST = 1, 6
TC_LINKLAYER_ETHERNET: Final = 1

TC_H_ROOT: Final = 0xFFFFFFFF
TC_H_CLSACT: Final = 0xFFFFFFF1
CLSACT_HANDLE: Final = 0xFFFF0000
ETH_P_ALL: Final = 0x0003

TRAFFIC: Final = struct.Struct("=BxxxiIII")
"""struct tcmsg: family, index, handle, parent, info."""
_RATE: Final = struct.Struct("=BBHhHI")
"""struct tc_ratespec: cell log, link layer, overhead, alignment, least, octets a second."""
_TBF: Final = struct.Struct("=III")
"""The end of struct tc_tbf_qopt: limit, buffer, largest packet."""

_BARE: Final = frozenset({errno.ENODEV, errno.EINVAL, errno.ENOENT})
"""The device is gone, or has no such hook."""


class BpfFilter(NamedTuple):
    """One filter that runs a BPF program."""

    preference: int
    name: str


def add_clsact(index: int) -> None:
    """Give a device hooks for filters; it may have them already.

    Raises:
        OSError: the kernel refused, as all functions here.
    """
    body = TRAFFIC.pack(0, index, CLSACT_HANDLE, TC_H_CLSACT, 0)
    try:
        change(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, body + _kind("clsact"))
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise


def add_tbf(index: int, *, rate: int, burst: int, limit: int) -> None:
    """Hold packets of a device back by a token bucket.

    Args:
        index: of the device.
        rate: octets a second.
        burst: octets that the bucket holds.
        limit: octets that may wait.
    """
    parameters = _RATE.pack(0, TC_LINKLAYER_ETHERNET, 0, 0, 0, rate) + bytes(_RATE.size)
    options = nested(
        TCA_OPTIONS,
        attribute(TCA_TBF_PARMS, parameters + _TBF.pack(limit, 0, 0)),
        attribute(TCA_TBF_BURST, struct.pack("=I", burst)),
    )
    body = TRAFFIC.pack(0, index, 0, TC_H_ROOT, 0) + _kind("tbf") + options
    change(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, body)


def tbf_rate(index: int) -> int:
    """Return how many octets a second a device's token bucket lets through, 0: it has none."""
    for body in dump(RTM_GETQDISC, TRAFFIC.pack(0, index, 0, 0, 0)):
        found = dict(attributes(body, TRAFFIC.size))
        if TRAFFIC.unpack_from(body)[1] == index and found.get(TCA_KIND) == b"tbf\0":
            parameters = dict(attributes(found[TCA_OPTIONS])).get(TCA_TBF_PARMS, bytes(_RATE.size))
            return int(_RATE.unpack_from(parameters)[5])
    return 0


def set_filter(index: int, parent: int, which: BpfFilter, descriptor: int) -> None:
    """Let a program see the packets at a hook, in place of one of the same preference."""
    options = nested(
        TCA_OPTIONS,
        attribute(TCA_BPF_FD, struct.pack("=I", descriptor)),
        attribute(TCA_BPF_NAME, which.name.encode() + b"\0"),
        attribute(TCA_BPF_FLAGS, struct.pack("=I", TCA_BPF_FLAG_ACT_DIRECT)),
    )
    body = _filter(index, parent, which.preference) + _kind("bpf") + options
    change(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_REPLACE, body)


def delete_filter(index: int, parent: int, preference: int) -> None:
    """Take the program of a preference off a hook."""
    change(RTM_DELTFILTER, 0, _filter(index, parent, preference) + _kind("bpf"))


def filters(index: int, parent: int) -> list[BpfFilter]:
    """Return the BPF filters at a hook; none where the device or the hook is not there."""
    try:
        found = dump(RTM_GETTFILTER, TRAFFIC.pack(0, index, 0, parent, 0))
    except OSError as error:
        if error.errno in _BARE:
            return []
        raise
    return [each for body in found if (each := _read(body)) is not None]


def _read(body: bytes) -> BpfFilter | None:
    info = TRAFFIC.unpack_from(body)[4]
    found = dict(attributes(body, TRAFFIC.size))
    if found.get(TCA_KIND) != b"bpf\0" or TCA_OPTIONS not in found:
        return None
    name = dict(attributes(found[TCA_OPTIONS])).get(TCA_BPF_NAME, b"")
    # The first message of a preference has no filter yet, and so no name.
    return BpfFilter(info >> 16, name.rstrip(b"\0").decode(errors="replace")) if name else None


def _filter(index: int, parent: int, preference: int) -> bytes:
    info = preference << 16 | socket.htons(ETH_P_ALL)
    return TRAFFIC.pack(0, index, 1, parent, info)


def _kind(name: str) -> bytes:
    return attribute(TCA_KIND, name.encode() + b"\0")

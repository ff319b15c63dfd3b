"""One netlink socket that changes many objects with two system calls (linux/netlink.h).

Requests go in one ``send``; the kernel handles them in their order before it returns. Only the
last one asks for an answer, and whatever is refused answers by itself. So a change without
trouble is one ``send`` and one ``recv`` at any number of objects, and :attr:`Channel.calls`
counts them: the bar on switching is about that number.
"""

import errno
import os
import socket
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from patronus.dataplane.rtnetlink import (
    NETLINK_CAP_ACK,
    NETLINK_EXT_ACK,
    NETLINK_GET_STRICT_CHK,
    NLMSG_ERROR,
    SOL_NETLINK,
    messages,
)

NLM_F_REQUEST: Final = 1
NLM_F_ACK: Final = 4
BUFFER_BYTES: Final = 1 << 20
"""Of one ``send``; longer batches are sent in parts of whole requests."""
SO_SNDBUFFORCE: Final = 32
"""asm-generic/socket.h; Python has no name for it."""

_HEADER: Final = struct.Struct("=IHHII")


class Request(NamedTuple):
    """One change."""

    kind: int
    flags: int
    body: bytes


class Channel:
    """A socket of the network namespace of the thread that made it."""

    def __init__(self) -> None:
        """Open it.

        Raises:
            OSError: there is no netlink, or we have no right to large buffers.
        """
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK):
            self._socket.setsockopt(SOL_NETLINK, option, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 2 * BUFFER_BYTES)
        self._buffer = bytearray(BUFFER_BYTES)  # made anew it would be three calls more
        self.calls = 0
        """System calls so far."""

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def change(self, requests: Sequence[Request]) -> list[tuple[int, int]]:
        """Do all requests; return place and errno of each that was refused."""
        refused: list[tuple[int, int]] = []
        first = 0
        while first < len(requests):
            last = self._part(requests, first)
            refused += self._send(requests[first:last], first)
            first = last
        return refused

    def must(self, requests: Sequence[Request], fine: frozenset[int] = frozenset()) -> None:
        """Do all requests.

        Raises:
            OSError: the kernel refused one, otherwise than by what is fine.
        """
        for _, number in self.change(requests):
            if number not in fine:
                raise OSError(number, os.strerror(number))

    def _part(self, requests: Sequence[Request], first: int) -> int:
        """Return where a batch that fits ends."""
        size, at = 0, first
        while at < len(requests):
            size += _HEADER.size + len(requests[at].body)
            if size > BUFFER_BYTES and at > first:
                break
            at += 1
        return at

    def _send(self, requests: Sequence[Request], first: int) -> list[tuple[int, int]]:
        last = first + len(requests) - 1
        parts = [
            _HEADER.pack(
                _HEADER.size + len(request.body),
                request.kind,
                request.flags | NLM_F_REQUEST | (NLM_F_ACK if number == last else 0),
                number,
                0,
            )
            + request.body
            for number, request in enumerate(requests, start=first)
        ]
        self._socket.send(b"".join(parts))
        self.calls += 1
        return self._answers(last)

    def _answers(self, last: int) -> list[tuple[int, int]]:
        refused: list[tuple[int, int]] = []
        while True:
            try:
                data = bytes(memoryview(self._buffer)[: self._socket.recv_into(self._buffer)])
            except OSError as error:
                # More was refused than the socket holds answers of: all of it is done, though.
                if error.errno != errno.ENOBUFS:
                    raise
                continue
            finally:
                self.calls += 1
            for number, code in _errors(data):
                if code:
                    refused.append((number, code))
                if number == last:
                    return refused


def _errors(data: bytes) -> list[tuple[int, int]]:
    """Return number and errno of each answer; 0 is an acknowledgement."""
    found, offset = [], 0
    for kind, _, body in messages(data):
        length, _, _, number, _ = _HEADER.unpack_from(data, offset)
        offset += (length + 3) & ~3
        if kind == NLMSG_ERROR:
            found.append((number, -struct.unpack_from("=i", body)[0]))
    return found

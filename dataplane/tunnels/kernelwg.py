"""WireGuard in the kernel, where it has it: generic netlink for keys and peers.

Needs ``CONFIG_WIREGUARD``, built in or as a module; asking for the family loads the module.
"""

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from patronus.dataplane.rtnetlink import (
    NLM_F_REQUEST_ACK,
    NLM_F_REQUEST_DUMP,
    NLMSG_DONE,
    NLMSG_ERROR,
    attribute,
    attributes,
    messages,
)
from patronus.dataplane.tunnels.driver import Health, TunnelTrouble
from patronus.dataplane.tunnels.genlwg import (
    FAMILY,
    VERSION,
    WG_CMD_GET_DEVICE,
    WG_CMD_SET_DEVICE,
    BadMessage,
    get_body,
    parse_dump,
    set_bodies,
)
from patronus.dataplane.tunnels.links import Links
from patronus.dataplane.tunnels.spec import Kind
from patronus.dataplane.tunnels.wgdevice import Look, WgChange

NETLINK_GENERIC: Final = 16
GENL_ID_CTRL: Final = 0x10
CTRL_CMD_GETFAMILY: Final = 3
CTRL_ATTR_FAMILY_ID: Final = 1
CTRL_ATTR_FAMILY_NAME: Final = 2
WAIT_S: Final = 2.0
"""The kernel answers at once; this only bounds a surprise."""
_HEADER: Final = struct.Struct("=IHHIIBBH")
_BUFFER: Final = 1 << 18

Opener = Callable[[], socket.socket]


def generic_netlink() -> socket.socket:
    """Return a socket to the kernel's generic netlink."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_GENERIC)


def kernel_has_wireguard(opener: Opener = generic_netlink) -> bool:
    """Tell whether the kernel has WireGuard; this loads its module if there is one."""
    try:
        return _family(opener) > 0
    except OSError:
        return False


class KernelWireGuard:
    """Implements :class:`patronus.dataplane.tunnels.wireguard.Backend`."""

    name = "kernel"

    def __init__(self, links: Links, opener: Opener = generic_netlink) -> None:
        """Use the kernel's WireGuard.

        Args:
            links: make and remove the interfaces.
            opener: of sockets to generic netlink.

        Raises:
            TunnelTrouble: the kernel has none.
        """
        self._links = links
        self._opener = opener
        try:
            self._id = _family(opener)
        except OSError as error:
            raise TunnelTrouble(f"the kernel has no WireGuard: {error.strerror}") from None

    def close(self) -> None:
        """Nothing is held between calls."""

    def names(self) -> list[str]:
        """Return nothing: the kernel's devices are known by their alias and group alone."""
        return []

    def look(self, name: str) -> Look:
        """Tell whether a device is there, and what the kernel knows of it."""
        try:
            bodies = self._ask(WG_CMD_GET_DEVICE, get_body(name), NLM_F_REQUEST_DUMP)
            return Look(Health.ALIVE, parse_dump(bodies))
        except OSError:
            return Look(Health.DEAD)
        except BadMessage as bad:
            raise TunnelTrouble(f"{name}: {bad}") from None

    def make(self, name: str) -> None:
        """Make a device."""
        self._links.add(name, kind="wireguard")

    def unmake(self, name: str) -> None:
        """Remove a device of ours; that there is none is fine."""
        link = self._links.find_ours(name, Kind.WIREGUARD)
        if link is not None:
            self._links.delete(link)

    def write(self, name: str, change: WgChange) -> None:
        """Change a device.

        Raises:
            TunnelTrouble: the kernel refuses.
        """
        try:
            for body in set_bodies(name, change):
                self._ask(WG_CMD_SET_DEVICE, body, NLM_F_REQUEST_ACK)
        except OSError as error:
            reason = error.strerror or "no answer"
            raise TunnelTrouble(f"{name}: the kernel refuses a change: {reason}") from None

    def forget_sources(self, name: str) -> None:
        """Do nothing: the kernel sees by itself that an address is gone."""

    def _ask(self, command: int, body: bytes, flags: int) -> list[bytes]:
        return _ask(self._opener, self._id, command, body, flags)


def _family(opener: Opener) -> int:
    """Return the number of WireGuard's netlink family.

    Raises:
        OSError: there is none.
    """
    body = attribute(CTRL_ATTR_FAMILY_NAME, FAMILY.encode() + b"\0")
    for reply in _ask(opener, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, body, NLM_F_REQUEST_ACK):
        for number, value in attributes(reply, 0):
            if number == CTRL_ATTR_FAMILY_ID:
                return int.from_bytes(value, "little")
    raise OSError(0, "its family has no number")


def _ask(opener: Opener, kind: int, command: int, body: bytes, flags: int) -> list[bytes]:
    """Send one message; return the attributes of each reply, up to the last or the receipt.

    Raises:
        OSError: the kernel refused, or does not answer.
    """
    request = _HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0, command, VERSION, 0)
    replies: list[bytes] = []
    with _opened(opener) as nl:
        nl.send(request + body)
        while True:
            data = nl.recv(_BUFFER)
            if not data:
                raise OSError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
            for reply_kind, _, reply in messages(data):
                if reply_kind == kind:
                    replies.append(reply[4:])
                elif reply_kind in {NLMSG_DONE, NLMSG_ERROR}:
                    code = -int.from_bytes(reply[:4], "little", signed=True)
                    if code:
                        raise OSError(code, os.strerror(code))
                    return replies


@contextmanager
def _opened(opener: Opener) -> Iterator[socket.socket]:
    with opener() as nl:
        nl.settimeout(WAIT_S)
        yield nl

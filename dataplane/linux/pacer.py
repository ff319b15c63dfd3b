"""The pacer's devices: a veth pair in which tokens circle, see ``bpf/pacer.bpf.c``.

The first device holds the tokens back in a TBF, one a tick; the second one's program sends the
probes that are due. No process takes part, so probes go on while the agent is stopped, and a
lost token is replaced by the others. All of them are lost when somebody sets a device down or
takes the TBF away: :meth:`Pacer.check` notices that none has turned for a while and
builds it all anew. A token that was only late then finds itself of an old generation.

Everything happens in the network namespace of the calling thread.
"""

import fcntl
import socket
import struct
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from patronus.dataplane.linkdump import IFLA_IFNAME, LINK, link
from patronus.dataplane.linkwrite import add_link, delete_link, set_link
from patronus.dataplane.linux.attach import Filter, Hook, attach
from patronus.dataplane.linux.probing import Records
from patronus.dataplane.rtnetlink import attribute
from patronus.dataplane.traffic import add_tbf, tbf_rate
from patronus.engine.units import MS, SECOND

TICK_NS: Final = MS
TICK_NS_MAX: Final = 10 * MS
PATIENCE_TICKS: Final = 10
PATIENCE_NS: Final = 50 * MS
"""Tokens may wait for a busy processor: so long, or some ticks where that is longer."""

ETH_P_IP: Final = 0x0800
VETH_INFO_PEER: Final = 1
"""linux/veth.h"""
TOKEN_MAGIC: Final = 0x70617472
TOKEN_OCTETS: Final = 14 + 20 + 8 + 20 + 92
"""An IPv4 probe in its tunnel, so that a clone is as long as what it becomes."""

SIOCETHTOOL: Final = 0x8946
ETHTOOL_SGRO: Final = 0x2C


class Pacer:
    """The devices of one network namespace."""

    def __init__(
        self,
        pacing: Records,
        rows: int,
        *,
        programs: Mapping[str, int],
        name: str = "patronus-tick",
        interval_ns: int = 10 * TICK_NS,
    ) -> None:
        """Name what the pacer is made of; nothing is done yet.

        Args:
            pacing: mapped record of the pacer.
            rows: that the schedule has room for.
            programs: descriptors of ``turn`` and ``launch``.
            name: of the devices, followed by 0 and 1; at most 14 characters.
            interval_ns: the shortest one between two probes of a tunnel.
        """
        assert len(name) <= 14
        assert len(pacing) == 1
        self._pacing, self._rows = pacing, rows
        self._programs = programs
        self._names = (f"{name}0", f"{name}1")
        self._tick_ns = tick_of(interval_ns)
        self._patience_ns = min(interval_ns, PATIENCE_TICKS * self._tick_ns)
        self.rebuilt = 0
        """How often all tokens were lost."""

    def start(self, now_ns: int) -> None:
        """Build the devices, or take over those that turn.

        Raises:
            OSError: the kernel refuses.
        """
        self._pacing["patience_ns"] = self._patience_ns
        if self._is_ours() and self.turns(now_ns):
            self._attach()
            return
        self.stop()
        first, second = self._names
        peer = LINK.pack(0, 0, 0, 0, 0) + attribute(IFLA_IFNAME, second.encode() + b"\0")
        add_link(first, kind="veth", group=0, data=attribute(VETH_INFO_PEER, peer))
        for name in self._names:
            # Nobody else's packets may cost a tick.
            Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
            queue_apart(name)
        for index in self._found():
            set_link(index, up=True, arp=False)
        self._hold_back()
        self._attach()
        self._pacing["rows"], self._pacing["cursor"] = self._rows, 0
        self._send_token()

    def turns(self, now_ns: int) -> bool:
        """Tell whether the token has turned lately."""
        last_ns = int(self._pacing["turn_ns"][0])
        return now_ns - last_ns <= max(PATIENCE_NS, PATIENCE_TICKS * self._tick_ns)

    def check(self, now_ns: int) -> bool:
        """Build all anew where no token turns; tell whether all was well.

        Raises:
            OSError: the kernel refuses.
        """
        if self.turns(now_ns):
            return True
        self.rebuilt += 1
        self.stop()
        self.start(now_ns)
        return False

    def stop(self) -> None:
        """Take the devices away, and with them the tokens and the filters."""
        found = link(self._names[0])
        if found is not None:
            delete_link(found.index)

    def _indices(self) -> tuple[int, ...] | None:
        found = [each.index for name in self._names if (each := link(name)) is not None]
        return tuple(found) if len(found) == len(self._names) else None

    def _found(self) -> tuple[int, ...]:
        found = self._indices()
        assert found is not None, "both were just there"
        return found

    def _is_ours(self) -> bool:
        """Tell whether the devices are there, with our tick."""
        found = self._indices()
        return found is not None and tbf_rate(found[0]) == self._rate

    @property
    def _rate(self) -> int:
        return TOKEN_OCTETS * SECOND // self._tick_ns

    def _hold_back(self) -> None:
        # The bucket holds one token, so a long tick is not made up for by a short one.
        index = self._found()[0]
        add_tbf(index, rate=self._rate, burst=TOKEN_OCTETS, limit=16 * TOKEN_OCTETS)

    def _attach(self) -> None:
        for index, program in zip(self._found(), ("launch", "turn"), strict=True):
            attach(Filter(index, Hook.INGRESS, program), self._programs[program])

    def _send_token(self) -> None:
        generation = (int(self._pacing["generation"][0]) + 1) % 2**32
        self._pacing["generation"] = generation
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
            raw.bind((self._names[0], ETH_P_IP))
            raw.send(token(generation))


def tick_of(interval_ns: int) -> int:
    """Return the tick that suits the shortest interval of probes.

    Each turn looks at all rows, whether any is due or not: at ten probes a second ticks of a
    millisecond would do so a hundred times for each probe. A tenth of the interval is what a
    probe may then be late.
    """
    return min(max(interval_ns // 10, TICK_NS), TICK_NS_MAX)


def token(generation: int) -> bytes:
    """Return a token; as an IP packet it has version 0, so no stack takes it for one."""
    ethernet = bytes(12) + ETH_P_IP.to_bytes(2)
    head = ethernet + bytes(28) + struct.pack("@II", TOKEN_MAGIC, generation)
    return head.ljust(TOKEN_OCTETS, b"\0")


def queue_apart(device: str) -> None:
    """Give a veth device a queue of its own: it has one while GRO is on.

    Raises:
        OSError: no such device.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        value = array("I", [ETHTOOL_SGRO, 1])
        request = struct.pack("@16sP", device.encode(), value.buffer_info()[0])
        fcntl.ioctl(any_socket, SIOCETHTOOL, request)

"""Losing or spoiling what passes a port of a wan, each way by itself, from a known instant on."""

import os
import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from pyroute2 import NetNS

from patronus.dataplane.linux import syscall
from patronus.dataplane.linux.attach import Hook
from patronus.dataplane.linux.objects import MapShape, Program

HOOKS: Final = {"out": Hook.INGRESS, "in": Hook.EGRESS}
"""Of the port, as who is behind it sees the ways."""
ARRAY: Final = 2  # BPF_MAP_TYPE_ARRAY
ALWAYS: Final = 1 << 32
"""Random numbers of 32 bits are below it."""
SPOILT_BYTE: Final = 72
"""Of a frame: in what WireGuard has encrypted, or in the header of a plain tunnel's packet."""

PROGRAM: Final = bytes.fromhex(
    "bf16000000000000"  # r6 = the packet
    "1827000000000000"
    "0000000000000000"  # r7 = address of our two words
    "8500000007000000"  # r0 = bpf_get_prandom_u32()
    "7978000000000000"  # r8 = lose below this
    "2d080c0000000000"  # if r8 > r0: lost
    "7978080000000000"  # r8 = spoil below this
    "bd08080000000000"  # if r8 <= r0: passed
    "720af8ff55000000"  # the byte to write, on the stack
    "bf61000000000000"  # r1 = the packet
    "b702000048000000"  # r2 = SPOILT_BYTE
    "bfa3000000000000"  # r3 = the stack
    "07030000f8ffffff"  # r3 -= 8
    "b704000001000000"  # r4 = one byte
    "b705000000000000"  # r5 = no flags: checksums are not mended
    "8500000009000000"  # bpf_skb_store_bytes()
    "b7000000ffffffff"  # passed: TC_ACT_UNSPEC
    "9500000000000000"
    "b700000002000000"  # lost: TC_ACT_SHOT
    "9500000000000000"
)


class Way(NamedTuple):
    """What happens to packets one way, of 2^32."""

    lost: int = 0
    spoilt: int = 0


class Scissors:
    """At one port."""

    def __init__(self, bridge: str, device: str) -> None:
        self._map = syscall.create_map("cut", MapShape(ARRAY, 4, 16 * len(HOOKS), 1, 0))
        self._programs: list[int] = []
        self._ways = dict.fromkeys(HOOKS, Way())
        with NetNS(bridge) as ip:
            index = ip.link_lookup(ifname=device)[0]
            ip.tc("add", "clsact", index)
            for place, hook in enumerate(HOOKS.values()):
                code = bytearray(PROGRAM)
                # The second half of the wide load is an offset into the map's one value.
                struct.pack_into("<i4xi", code, 12, self._map, 16 * place)
                program = syscall.load_program("cut", Program(bytes(code), ()), {})
                ip.tc("add-filter", "bpf", index, 1, parent=int(hook), prio=1, protocol=3,
                      fd=program, name="cut", direct_action=True)  # fmt: skip
                self._programs.append(program)

    def lose(self, ways: Iterable[str], share: float = 1.0) -> None:
        """Lose a share of the packets of some ways."""
        self._set(ways, Way(lost=int(share * ALWAYS)))

    def spoil(self, ways: Iterable[str], share: float) -> None:
        """Change a byte in a share of the packets of some ways."""
        self._set(ways, Way(spoilt=int(share * ALWAYS)))

    def mend(self) -> None:
        """Let everything pass."""
        self._set(HOOKS, Way())

    def _set(self, ways: Iterable[str], how: Way) -> None:
        self._ways.update(dict.fromkeys(ways, how))
        words = [word for way in self._ways.values() for word in way]
        syscall.update(self._map, bytes(4), struct.pack(f"={len(words)}Q", *words))

    def close(self) -> None:
        for descriptor in (self._map, *self._programs):
            os.close(descriptor)

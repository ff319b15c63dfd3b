"""Which prefix leads to which destination, in the kernel's memory.

Tries hold prefixes as they were announced and are written by difference; packets are looked up
in trees of ranges made of all of them (:mod:`patronus.dataplane.linux.ranges`). A failover
touches none of this: prefixes change when sites announce and withdraw.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from patronus.dataplane.linux import records, syscall
from patronus.dataplane.linux.pins import Pins
from patronus.dataplane.linux.ranges import write_ranges
from patronus.dataplane.linux.rangetree import FAMILIES, Family, Range
from patronus.dataplane.linux.records import DestinationFlag, RangeFlag

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class Target(NamedTuple):
    """What a prefix leads to."""

    destination: int
    local: bool = False
    """It lies behind this site: packets to it are the kernel's."""


def key_of(network: Network) -> bytes:
    """Return a prefix as the tries keep it."""
    return network.prefixlen.to_bytes(4, "little") + network.network_address.packed


def network_of(key: bytes) -> Network:
    """Return the prefix of a key; the inverse of :func:`key_of`."""
    address = ipaddress.ip_address(key[4:])
    return ipaddress.ip_network((address, int.from_bytes(key[:4], "little")))


def table_of(
    descriptor: int, version: int, dtype: np.dtype[np.void]
) -> Iterator[tuple[bytes, npt.NDArray[Any]]]:
    """Yield the keys and values of a trie; one that changes meanwhile may be seen in part."""
    key_bytes = 8 if version == 4 else 20
    key = syscall.next_key(descriptor, None, key_bytes)
    while key is not None:
        value = syscall.lookup(descriptor, key, dtype.itemsize)
        if value is not None:
            yield key, np.frombuffer(value, dtype=dtype)
        key = syscall.next_key(descriptor, key, key_bytes)


def installed_prefixes(pins: Pins) -> dict[Network, Target]:
    """Return what the kernel holds."""
    found = {}
    for version in (4, 6):
        table = pins.maps[f"prefixes{version}"]
        key_bytes, most = (8 if version == 4 else 20), syscall.map_shape(table).entries
        # One call: key by key this takes longer than all else.
        keys, values = syscall.lookup_all(
            table, key_bytes=key_bytes, value_bytes=records.DESTINATION.itemsize, most=most
        )
        targets = np.frombuffer(values, dtype=records.DESTINATION)
        local = targets["flags"] & DestinationFlag.LOCAL != 0
        for at, target in enumerate(map(Target, targets["index"].tolist(), local.tolist())):
            found[network_of(keys[at * key_bytes : (at + 1) * key_bytes])] = target
    return found


def ranges_of(prefixes: Mapping[Network, Target], family: Family) -> Iterator[Range]:
    """Yield the ranges of a family's prefixes."""
    cut = 64 if family.version == 6 else 0
    for network, target in prefixes.items():
        if network.version != family.version:
            continue
        low, high = int(network.network_address) >> cut, int(network.broadcast_address) >> cut
        length, word = network.prefixlen, (target.destination + 1) | RangeFlag.LOCAL * target.local
        if length > family.bits:
            length, word = family.bits + 1, int(RangeFlag.DEEPER)
        yield Range(low, length, high, word)


def install_ranges(pins: Pins, wanted: Mapping[Network, Target]) -> int:
    """Let packets find these prefixes; return in how many families they found others.

    Raises:
        ValueError: there are more than the maps have room for.
    """
    return write_ranges(pins, [ranges_of(wanted, family) for family in FAMILIES])


def outdate_flows(pins: Pins) -> None:
    """Let the destination and class of every flow be looked up anew."""
    settings = pins.array("settings")
    # By two: the lowest bit selects the bank of the rules, which stays.
    settings["epoch"] = (int(settings["epoch"][0]) + 2) % 2**32


def install_prefixes(pins: Pins, wanted: Mapping[Network, Target]) -> int:
    """Make the kernel hold these prefixes and no others; return how many changed.

    Flows are looked up anew afterwards. Packets find all of the new prefixes from one moment on.
    The tries come last: who is killed before that finds them wanting and does it again. Those
    longer than 64 bits, which packets look up there, come in before old ones go.

    Raises:
        ValueError: there are more than the maps have room for.
    """
    standing = installed_prefixes(pins)
    if standing != wanted:
        install_ranges(pins, wanted)
    changed = {n: t for n, t in wanted.items() if standing.get(n) != t}
    for network, target in changed.items():
        value = records.zeros(records.DESTINATION)
        value["index"], value["flags"] = target.destination, DestinationFlag.LOCAL * target.local
        table = pins.maps[f"prefixes{network.version}"]
        syscall.update(table, key_of(network), value.tobytes())
    gone = standing.keys() - wanted.keys()
    for network in gone:
        syscall.delete(pins.maps[f"prefixes{network.version}"], key_of(network))
    if changed or gone:
        outdate_flows(pins)
    return len(changed) + len(gone)

"""Which prefix leads to which destination: the kernel's tries, read and written by difference.

A failover touches none of this: prefixes change when sites announce and withdraw.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from patronus.dataplane.linux import records, syscall
from patronus.dataplane.linux.pins import Pins
from patronus.dataplane.linux.records import DestinationFlag

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
        table = table_of(pins.maps[f"prefixes{version}"], version, records.DESTINATION)
        for key, value in table:
            local = bool(value["flags"][0] & DestinationFlag.LOCAL)
            found[network_of(key)] = Target(int(value["index"][0]), local)
    return found


def install_prefixes(pins: Pins, wanted: Mapping[Network, Target]) -> int:
    """Make the kernel hold these prefixes and no others; return how many changed.

    Flows are looked up anew afterwards. New prefixes come in before old ones go, so that a
    prefix that is split stays reachable throughout.
    """
    standing = installed_prefixes(pins)
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
        settings = pins.array("settings")
        # By two: the lowest bit selects the bank of the rules, which stays.
        settings["epoch"] = (int(settings["epoch"][0]) + 2) % 2**32
    return len(changed) + len(gone)

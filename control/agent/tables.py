"""Prefixes, rules and names of the kernel's maps: compared with what is wanted, and repaired."""

from typing import Final

import numpy as np

from patronus.dataplane.linux import records, syscall
from patronus.dataplane.linux.pins import Pins
from patronus.dataplane.linux.prefixes import (
    Network,
    Target,
    install_prefixes,
    install_ranges,
    key_of,
    network_of,
    outdate_flows,
    table_of,
)
from patronus.dataplane.linux.ranges import digest
from patronus.dataplane.linux.records import DestinationFlag
from patronus.dataplane.linux.rules import Compiled, install_rules

_KEYS: Final = ((4, 8), (6, 20))
"""Versions of IP, and the bytes of a prefix of each."""


class Tables:
    """What a site's maps must hold."""

    def __init__(self, pins: Pins, prefixes: dict[Network, Target], rules: Compiled) -> None:
        self.prefixes, self.rules = prefixes, rules
        self._pins = pins
        self._sound: list[tuple[bytes, bytes]] = []
        """What the kernel's tries held when they were found to be right."""
        self._digest = -1
        """Of the ranges, at that time."""
        # To make them of bytes takes ten times as long as all else, twice a second.
        self._networks = {key_of(network): network for network in prefixes}
        self._settings = pins.array("settings")
        self._banks = pins.array("rules").reshape(2, -1)

    def ensure(self) -> int:
        """Install prefixes and rules where they differ; return how many did."""
        drifted, raw = 0, self._raw()
        if raw != self._sound:
            if self._meaning(raw) != self.prefixes:
                drifted += install_prefixes(self._pins, self.prefixes)
                raw = self._raw()
            self._sound = raw
        if digest(self._pins, len(self.prefixes)) != self._digest:
            if found := install_ranges(self._pins, self.prefixes):
                outdate_flows(self._pins)
            drifted += found
            self._digest = digest(self._pins, len(self.prefixes))
        if not self._same_rules():
            install_rules(self._pins, self.rules)
            drifted += 1
        return drifted

    def _raw(self) -> list[tuple[bytes, bytes]]:
        """Return what the kernel holds for each family: one call, at any number.

        One more than is wanted is enough to see that something differs.
        """
        return [
            syscall.lookup_all(
                self._pins.maps[f"prefixes{version}"],
                key_bytes=key_bytes,
                value_bytes=records.DESTINATION.itemsize,
                most=len(self.prefixes) + 1,
            )
            for version, key_bytes in _KEYS
        ]

    def _meaning(self, raw: list[tuple[bytes, bytes]]) -> dict[Network, Target]:
        found = {}
        for (keys, values), (_, key_bytes) in zip(raw, _KEYS, strict=True):
            for at, value in enumerate(np.frombuffer(values, dtype=records.DESTINATION)):
                key = keys[at * key_bytes : (at + 1) * key_bytes]
                local = bool(value["flags"] & DestinationFlag.LOCAL)
                found[self._network(key)] = Target(int(value["index"]), local)
        return found

    def _network(self, key: bytes) -> Network:
        known = self._networks.get(key)
        return network_of(key) if known is None else known

    def _same_rules(self) -> bool:
        epoch = int(self._settings["epoch"][0])
        if not np.array_equal(self._banks[epoch & 1], self.rules.words):
            return False
        return self._targets(epoch & 1) == self.rules.prefixes

    def _targets(self, bank: int) -> dict[Network, int]:
        found = {}
        for version in (4, 6):
            table = table_of(self._pins.maps[f"targets{version}"], version, records.RULE_BITS)
            for key, value in table:
                if bits := int(value["bank"][0, bank]):
                    found[network_of(key)] = bits
        return found


def repin(pins: Pins) -> int:
    """Give maps and programs their names again where somebody removed them; return how many."""
    missing = 0
    for folder, things in (("maps", pins.maps), ("programs", pins.programs)):
        (pins.root / folder).mkdir(parents=True, exist_ok=True)
        for name, descriptor in things.items():
            if not (pins.root / folder / name).exists():
                syscall.pin(descriptor, pins.root / folder / name)
                missing += 1
    return missing

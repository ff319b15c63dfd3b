"""Prefixes, rules and names of the kernel's maps: compared with what is wanted, and repaired."""

import numpy as np

from patronus.dataplane.linux import records, syscall
from patronus.dataplane.linux.pins import Pins
from patronus.dataplane.linux.prefixes import (
    Network,
    Target,
    install_prefixes,
    installed_prefixes,
    network_of,
    table_of,
)
from patronus.dataplane.linux.rules import Compiled, install_rules


class Tables:
    """What a site's maps must hold."""

    def __init__(self, pins: Pins, prefixes: dict[Network, Target], rules: Compiled) -> None:
        self.prefixes, self.rules = prefixes, rules
        self._pins = pins
        self._settings = pins.array("settings")
        self._banks = pins.array("rules").reshape(2, -1)

    def ensure(self) -> int:
        """Install prefixes and rules where they differ; return how many did."""
        drifted = 0
        if installed_prefixes(self._pins) != self.prefixes:
            drifted += install_prefixes(self._pins, self.prefixes)
        if not self._same_rules():
            install_rules(self._pins, self.rules)
            drifted += 1
        return drifted

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

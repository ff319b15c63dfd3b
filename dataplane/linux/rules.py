"""Traffic classes as the kernel looks them up: one bit a rule, one word for each value.

A rule is one :class:`~patronus.engine.policy.Match`, numbered in order of classes. For each
DSCP, protocol and port there is a word with the bits of all rules that the value satisfies;
a packet's rules are the words' common bits, and the lowest one wins. So 64 rules cost as
much as one. Prefixes are in tries whose every node knows the rules of all wider ones too.

Two banks: the idle one is written, then the epoch, whose lowest bit selects the bank, is
stored. The epoch dates flow records, so that every flow is classified again.
"""

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from patronus.dataplane.linux import records, syscall
from patronus.dataplane.linux.pins import Pins
from patronus.dataplane.linux.prefixes import Network, key_of, table_of
from patronus.dataplane.linux.records import RULES_MAX, RULES_SEQUENCE, RulePlace
from patronus.dataplane.linux.words import U64
from patronus.engine.policy import Match, TrafficClass

_PORTS: Final = 65536
_WORD: Final = 2**64 - 1


class Compiled(NamedTuple):
    """The rules of a policy, ready to be written."""

    words: U64
    """One bank, by :class:`~patronus.dataplane.linux.records.RulePlace`."""
    prefixes: dict[Network, int]
    """The rules that an address in each prefix satisfies, as bits."""


def compile_rules(classes: Sequence[TrafficClass]) -> Compiled:
    """Return the rules of some classes; what matches none of them is of the last class.

    Raises:
        ValueError: there are more matches than the kernel's words have bits.
    """
    rules = list(_rules(classes))
    if len(rules) > RULES_MAX:
        raise ValueError(f"{len(rules)} matches in all, {RULES_MAX} is the most")
    words = np.zeros(RulePlace.BANK, dtype=np.uint64)
    words[RulePlace.DEFAULT] = RULES_MAX << 8 | (len(classes) - 1)
    for number, (traffic_class, match) in enumerate(rules):
        _write(words, number, traffic_class, match)
    return Compiled(words, _closure([match for _, match in rules]))


def _rules(classes: Sequence[TrafficClass]) -> Iterator[tuple[int, Match]]:
    for index, traffic_class in enumerate(classes):
        for match in traffic_class.matches or (Match(),):
            yield index, match


def _write(words: U64, number: int, traffic_class: int, match: Match) -> None:
    bit = 1 << number
    place = (bit * RULES_SEQUENCE & _WORD) >> 58
    words[RulePlace.FOUND + place] = number << 8 | traffic_class
    mask = np.uint64(bit)
    for value in match.dscp or range(64):
        words[RulePlace.DSCP + value] |= mask
    for value in range(256) if match.protocol is None else (match.protocol,):
        words[RulePlace.PROTOCOL + value] |= mask
    for low, high in match.ports or ((0, _PORTS - 1),):
        for start in (RulePlace.SOURCE_PORT, RulePlace.TARGET_PORT):
            # Port 0 stands for no port: only rules that ask for none match it.
            first = low if not match.ports else max(low, 1)
            words[start + first : start + high + 1] |= mask
    if not match.prefixes:
        words[RulePlace.ANY_TARGET] |= mask


def _closure(matches: Sequence[Match]) -> dict[Network, int]:
    """Return the rules of each prefix, with those of the prefixes around it."""
    own: dict[Network, int] = {}
    for number, match in enumerate(matches):
        for text in match.prefixes:
            network = ipaddress.ip_network(text)
            own[network] = own.get(network, 0) | 1 << number
    return {network: _of_wider(network, own) for network in own}


def _of_wider(network: Network, own: dict[Network, int]) -> int:
    bits = 0
    for length in range(network.prefixlen + 1):
        bits |= own.get(network.supernet(new_prefix=length), 0)
    return bits


def install_rules(pins: Pins, compiled: Compiled) -> int:
    """Write rules into the idle bank and switch to it; return the new epoch.

    The trie's nodes hold both banks' words: the running bank's stay as they are.
    """
    settings = pins.array("settings")
    epoch = int(settings["epoch"][0])
    idle = (epoch + 1) & 1
    banks = pins.array("rules").reshape(2, -1)
    banks[idle] = compiled.words
    _write_tries(pins, compiled.prefixes, idle)
    settings["epoch"] = (epoch + 1) % 2**32
    return (epoch + 1) % 2**32


def _write_tries(pins: Pins, prefixes: dict[Network, int], idle: int) -> None:
    for version in (4, 6):
        table = pins.maps[f"targets{version}"]
        wanted = {key_of(n): bits for n, bits in prefixes.items() if n.version == version}
        standing = dict(table_of(table, version, records.RULE_BITS))
        for key in standing.keys() | wanted.keys():
            _write_node(table, key, standing.get(key), wanted.get(key, 0), idle)


def _write_node(
    table: int, key: bytes, standing: npt.NDArray[Any] | None, bits: int, idle: int
) -> None:
    node = records.zeros(records.RULE_BITS) if standing is None else standing.copy()
    node["bank"][0, idle] = bits
    if node["bank"].any():
        syscall.update(table, key, node.tobytes())
    else:
        syscall.delete(table, key)

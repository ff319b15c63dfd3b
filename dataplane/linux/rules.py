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
from typing import Final, NamedTuple

import numpy as np

from patronus.dataplane.linux import records, syscall
from patronus.dataplane.linux.pins import Pins
from patronus.dataplane.linux.prefixes import Network, key_of, network_of, table_of
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
    """The rules that name each prefix, as bits."""


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
    return Compiled(words, _named([match for _, match in rules]))


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
    if not match.ports:
        words[RulePlace.ANY_PORT] |= mask


def _named(matches: Sequence[Match]) -> dict[Network, int]:
    named: dict[Network, int] = {}
    for number, match in enumerate(matches):
        for text in match.prefixes:
            network = ipaddress.ip_network(text)
            named[network] = named.get(network, 0) | 1 << number
    return named


def satisfied(network: Network, named: dict[Network, int]) -> int:
    """Return the rules that an address in a prefix satisfies: those of wider ones too."""
    bits = 0
    for length in range(network.prefixlen + 1):
        bits |= named.get(network.supernet(new_prefix=length), 0)
    return bits


def install_rules(pins: Pins, compiled: Compiled) -> int:
    """Write rules into the idle bank and switch to it; return the new epoch.

    Nodes of the tries hold both banks' words. Those of the rules so far get the idle bank's
    word too, as the longest prefix alone is found; they go when nobody needs them any more.
    """
    settings = pins.array("settings")
    epoch = (int(settings["epoch"][0]) + 1) % 2**32
    banks = pins.array("rules").reshape(2, -1)
    banks[epoch & 1] = compiled.words
    standing = [_write_nodes(pins, version, compiled.prefixes, epoch & 1) for version in (4, 6)]
    settings["epoch"] = epoch
    for network in set[Network]().union(*standing) - compiled.prefixes.keys():
        syscall.delete(pins.maps[f"targets{network.version}"], key_of(network))
    return epoch


def _write_nodes(pins: Pins, version: int, named: dict[Network, int], bank: int) -> set[Network]:
    """Write a bank's words into a trie; return the prefixes that were there before."""
    table = pins.maps[f"targets{version}"]
    standing = dict(table_of(table, version, records.RULE_BITS))
    wanted = {key_of(network) for network in named if network.version == version}
    for key in standing.keys() | wanted:
        node = records.zeros(records.RULE_BITS)
        if key in standing:
            node["bank"] = standing[key]["bank"]
        node["bank"][0, bank] = satisfied(network_of(key), named)
        syscall.update(table, key, node.tobytes())
    return {network_of(key) for key in standing}

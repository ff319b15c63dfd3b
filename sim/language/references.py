"""Checks that every mentioned name is defined, and every word for sites finds some."""

from collections.abc import Callable, Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final

from patronus.sim.language.mistakes import did_you_mean, one_of, quoted
from patronus.sim.language.names import WORDS
from patronus.sim.language.rosters import Roster
from patronus.sim.language.shapes import Mention, Reading
from patronus.sim.scenario import FaultKind


def check_mentions(reading: Reading, names: Roster, faults: Collection[str] | None) -> None:
    """Note every mention of a name that nothing defines."""
    for mention in reading.mentions:
        if mention.kind == "expectation":
            _expectation(mention, reading, names, faults)
        else:
            _CHECKS[mention.kind](mention, reading, names)


def matching(pattern: str, names: Collection[str]) -> list[str]:
    """Return the names that a name or shell pattern means."""
    if pattern in names:
        return [pattern]
    if not set("*?[") & set(pattern):
        return []
    return [name for name in names if fnmatchcase(name, pattern)]


def meant(word: str, sites: Mapping[str, bool]) -> list[str]:
    """Return the sites that a word of the language means; ``sites`` says which are hubs."""
    if word in WORDS:
        return [site for site, hub in sites.items() if word == "all" or hub is (word == "hubs")]
    return matching(word, sites)


def _unknown(what: str, mention: Mention, known: Iterable[str], reading: Reading) -> None:
    known = tuple(known)
    reading.wrong(mention.mark, f"there is no {what} {quoted(mention.name)}",
                  one_of(known, 12) or f"the scenario defines no {what}",
                  did_you_mean(mention.name, known))  # fmt: skip


def _site(mention: Mention, reading: Reading, names: Roster) -> None:
    if names.sites is not None and mention.name not in names.sites:
        _unknown("site", mention, names.sites, reading)


def _sites(mention: Mention, reading: Reading, names: Roster) -> None:
    if names.sites is not None and not meant(mention.name, names.sites):
        _none_meant("site", mention, names.sites, reading)


def _target(mention: Mention, reading: Reading, names: Roster) -> None:
    if names.sites is None or matching(mention.name, names.destinations):
        return
    if not meant(mention.name, names.sites):
        known = (*names.destinations, *names.sites)
        _none_meant("destination or site", mention, known, reading)


def _none_meant(what: str, mention: Mention, known: Iterable[str], reading: Reading) -> None:
    if mention.name in WORDS:
        reading.wrong(mention.mark, f"there are no {mention.name} here", one_of(tuple(known), 12),
                      "`topology.hubs` says which sites are hubs")  # fmt: skip
    else:
        _unknown(what, mention, (*known, *WORDS), reading)


def _transport(mention: Mention, reading: Reading, names: Roster) -> None:
    if names.transports is not None and mention.name not in names.transports:
        _unknown("transport", mention, names.transports, reading)


def _class(mention: Mention, reading: Reading, names: Roster) -> None:
    if names.classes is not None and mention.name not in names.classes:
        _unknown("class", mention, names.classes, reading)


def _group(mention: Mention, reading: Reading, names: Roster) -> None:
    if mention.name not in names.groups:
        _unknown("group", mention, names.groups, reading)


def _link(mention: Mention, reading: Reading, names: Roster) -> None:
    head, colon, rest = mention.name.partition(":")
    if not colon:  # a pattern such as `*`, whatever the transport
        return
    site, _, transport = rest.rpartition(":")
    carrier = transport if head == "access" else head
    if names.transports is not None and not matching(carrier, names.transports):
        _unknown("transport", Mention("", carrier, mention.mark), names.transports, reading)
    if head == "access" and names.sites is not None and not matching(site, names.sites):
        _unknown("site", Mention("", site, mention.mark), names.sites, reading)


_CHECKS: Final[dict[str, Callable[[Mention, Reading, Roster], None]]] = {
    "site": _site, "sites": _sites, "target": _target, "transport": _transport,
    "class": _class, "group": _group, "link": _link,
}  # fmt: skip


def _expectation(
    mention: Mention, reading: Reading, names: Roster, faults: Collection[str] | None
) -> None:
    from patronus.sim.expectation import ExpectationError, parse  # brings NumPy

    known: dict[str, Collection[str]] = {"kind": [str(kind) for kind in FaultKind]}
    if faults is not None:
        known["fault"] = faults
    if names.classes is not None:
        known["class"] = names.classes
    if names.sites is not None:
        known["site"] = names.sites
        known["destination"] = (*names.destinations, *names.sites)
    try:
        parse(mention.name, known)
    except ExpectationError as error:
        mark = mention.mark.within(mention.name, error.column, error.width)
        reading.wrong(mark, error.what, error.expected, error.suggestion)

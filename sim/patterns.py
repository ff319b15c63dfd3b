"""Names and patterns: how a scenario points at sites, destinations and links.

A word is a name, a shell pattern (``branch-*``), or one of ``*``/``all``, ``hubs``
and ``spokes``. Each word must find something: a set silently empty is how a
rehearsal tests nothing.
"""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Final

from patronus.engine.overlay import Overlay
from patronus.sim.scenario import TopologySpec
from patronus.sim.topology.sites import hub_names

ALL: Final = frozenset({"*", "all"})
_SHOWN: Final = 8


class NoMatchError(ValueError):
    """A word that finds nothing; the message says what there is and what was perhaps meant."""

    def __init__(self, word: str, sort: str, names: Sequence[str]) -> None:
        close = get_close_matches(word, names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        super().__init__(f"{sort} {word!r} matches nothing (there are {listed(names)}){hint}")


def listed(names: Sequence[str], most: int = _SHOWN) -> str:
    """Return names for a message, cut to the first few."""
    if not names:
        return "none"
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def find(
    words: Sequence[str],
    names: Sequence[str],
    sort: str,
    sets: Mapping[str, Sequence[int]] | None = None,
) -> tuple[int, ...]:
    """Return the positions of all names that any word points at, ascending.

    Args:
        words: names, patterns, ``*``/``all`` or a key of ``sets``.
        names: what exists.
        sort: what the names are, for messages: ``site``, ``provider link`` …
        sets: positions by word (``hubs``); a name of the same spelling comes first.

    Raises:
        NoMatchError: a word finds nothing.
    """
    place = {name: i for i, name in enumerate(names)}
    found: set[int] = set()
    for word in words:
        positions = _find_one(word, names, place, sets or {})
        if not positions:
            raise NoMatchError(word, sort, names)
        found.update(positions)
    return tuple(sorted(found))


def _find_one(
    word: str, names: Sequence[str], place: Mapping[str, int], sets: Mapping[str, Sequence[int]]
) -> Sequence[int]:
    if word in place:
        return (place[word],)
    if word in sets:
        return sets[word]
    if word in ALL:
        return range(len(names))
    return [i for i, name in enumerate(names) if fnmatchcase(name, word)]


def site_sets(topology: TopologySpec, overlay: Overlay) -> dict[str, tuple[int, ...]]:
    """Return what ``hubs`` and ``spokes`` mean in an overlay."""
    hubs = {overlay.site_index[name] for name in hub_names(topology)}
    spokes = tuple(i for i in range(len(overlay.sites)) if i not in hubs)
    return {"hubs": tuple(sorted(hubs)), "spokes": spokes}

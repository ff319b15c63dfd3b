"""Two things that fail at once: a sample of all pairs, chosen by luck that names key."""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from patronus.engine.fingerprint import U64, combine, name_key
from patronus.engine.overlay import I64
from patronus.sim.faults.selectors import Network, select
from patronus.sim.luck import object_keys, words
from patronus.sim.scenario import Scenario
from patronus.sim.whatif.failures import Failure, FailureKind

JOIN: Final = "+"
"""Between the ids of a pair; no single id holds it."""

_SPARE: Final = 64
"""So many more than are wanted are drawn at first, since some turn out to be no pairs."""


def paired(one: Failure, other: Failure) -> Failure:
    """Return the failure of two things at the same instant."""
    first, second = sorted((one, other), key=lambda f: f.id)
    return Failure(
        JOIN.join((first.id, second.id)),
        FailureKind.PAIR,
        f"{first.label} and {second.label}",
        (*first.faults, *second.faults),
    )


def sample(
    failures: Sequence[Failure], scenario: Scenario, network: Network, count: int, seed: int
) -> list[Failure]:
    """Return so many pairs of failures, or all there are, the luckiest first.

    Each pair draws a word keyed by its names, and the lowest words win: another site
    changes the choice only where its own pairs win. Where one of two hits nothing that the
    other does not, they are no pair.
    """
    keys = np.array([name_key("whatif", f.id) for f in failures], dtype=np.uint64)
    every = len(keys) * (len(keys) - 1) // 2
    known: dict[str, frozenset[int]] = {}

    def links(failure: Failure) -> frozenset[int]:
        if failure.id not in known:
            hits = select(failure.faults[0], scenario, network, seed)
            known[failure.id] = frozenset(i for hit in hits for i in hit.links)
        return known[failure.id]

    drawn = min(every, 2 * count + _SPARE)
    while True:
        found: list[Failure] = []
        for low, high in _lottery(keys, seed, drawn):
            one, other = failures[low], failures[high]
            if not (links(one) <= links(other) or links(other) <= links(one)):
                found.append(paired(one, other))
            if len(found) == count:
                return found
        if drawn == every:
            return found
        drawn = min(every, 4 * drawn)


def _lottery(keys: U64, seed: int, drawn: int) -> Iterator[tuple[int, int]]:
    """Yield the places of so many pairs, those with the lowest words first."""
    word: U64 = np.zeros(0, dtype=np.uint64)
    low: I64 = np.zeros(0, dtype=np.int64)
    high: I64 = np.zeros(0, dtype=np.int64)
    bound = np.uint64(0xFFFFFFFFFFFFFFFF)
    for place in range(len(keys) - 1):
        others = keys[place + 1 :]
        mine = np.full(len(others), keys[place], dtype=np.uint64)
        # The word of a pair does not depend on which of the two comes first.
        pair = combine(np.minimum(mine, others), np.maximum(mine, others))
        ticket = words(object_keys(seed, "whatif/pairs", pair), 0)
        at = np.flatnonzero(ticket <= bound)
        word = np.concatenate([word, ticket[at]])
        low = np.concatenate([low, np.full(len(at), place, dtype=np.int64)])
        high = np.concatenate([high, at + place + 1])
        if len(word) > 2 * drawn:
            best = np.argpartition(word, drawn)[:drawn]
            word, low, high = word[best], low[best], high[best]
            bound = word.max()
    order = np.lexsort((high, low, word))[:drawn]
    yield from zip(low[order].tolist(), high[order].tolist(), strict=True)

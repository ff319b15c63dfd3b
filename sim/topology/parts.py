"""Whether a graph hangs together, and what its parts are when it does not."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from patronus.engine.overlay import I64

SHOWN: Final = 4
"""Parts, and members of a part, that a message names."""


def parts(nodes: int, ends: I64) -> I64:
    """Return for each node the lowest node of its part; ``ends`` has shape (links, 2)."""
    lowest = np.arange(nodes)
    while True:
        low = lowest[ends].min(axis=1)
        joined = lowest.copy()
        # Both ends, and the nodes that stood for their parts, learn of the lower one.
        for side in (ends[:, 0], ends[:, 1], lowest[ends[:, 0]], lowest[ends[:, 1]]):
            np.minimum.at(joined, side, low)
        joined = joined[joined]
        if np.array_equal(joined, lowest):
            return lowest
        lowest = joined


def check_connected(what: str, names: Sequence[str], ends: I64) -> None:
    """Make sure that links join everything.

    Raises:
        ValueError: they do not; the message names the parts, the smallest first.
    """
    part = parts(len(names), ends)
    if not part.any():
        return
    members: dict[int, list[str]] = {}
    for name, lowest in zip(names, part.tolist(), strict=True):
        members.setdefault(lowest, []).append(name)
    told = [_shown(p) for p in sorted(members.values(), key=lambda p: (len(p), p))[:SHOWN]]
    more = " | …" if len(members) > SHOWN else ""
    raise ValueError(f"{what} falls into {len(members)} parts: {' | '.join(told)}{more}")


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")

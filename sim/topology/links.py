"""The table of links: all cables of the underlay, each with two directions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from patronus.engine.fingerprint import combine
from patronus.engine.overlay import I64
from patronus.sim.scenario import LinkProfile
from patronus.sim.topology.land import keys
from patronus.sim.underlay import Links, Underlay


@dataclass(frozen=True, eq=False)
class Cables:
    """Cables of one kind: the same in all but name and delay."""

    transport: int
    names: Sequence[str]
    forth: LinkProfile
    """How the first direction of each treats packets; for an access cable that is up."""
    back: LinkProfile
    forth_ns: I64
    """Delay of each cable in the first direction; the profile's own is not added."""
    back_ns: I64


def link_table(parts: Sequence[Cables]) -> Links:
    """Join all cables; directed link ``2 i`` is cable ``i`` forth, ``2 i + 1`` back."""
    names = tuple(name for part in parts for name in part.names for _ in range(2))
    directions = np.arange(len(names), dtype=np.uint64) % np.uint64(2)

    def column(quantity: Callable[[LinkProfile], int]) -> I64:
        both = [
            np.tile(np.array([quantity(p.forth), quantity(p.back)], dtype=np.int64), len(p.names))
            for p in parts
        ]
        return np.concatenate(both)

    delay = [np.stack([part.forth_ns, part.back_ns], axis=1).reshape(-1) for part in parts]
    transport = [np.full(2 * len(part.names), part.transport, dtype=np.int32) for part in parts]
    return Links(
        names=names,
        key=combine(np.repeat(keys(names[::2]), 2), directions),
        delay_ns=np.concatenate(delay).astype(np.int64),
        jitter_ns=column(lambda profile: profile.jitter_ns),
        loss_ppm=column(lambda profile: profile.loss_ppm),
        rate_bps=column(lambda profile: profile.rate_bps),
        buffer_ns=column(lambda profile: profile.buffer_ns),
        mtu=column(lambda profile: profile.mtu),
        burst=tuple(b for p in parts for _ in p.names for b in (p.forth.burst, p.back.burst)),
        transport=np.concatenate(transport),
    )


def cable_name(transport: str, a: str, b: str) -> str:
    """Return the name of a provider's cable: its ends in alphabetical order."""
    return f"{transport}:{min(a, b)}-{max(a, b)}"


def cables(underlay: Underlay) -> dict[str, tuple[int, int]]:
    """Return the two directed links of each cable by name: out of its first end, towards it.

    A provider's cable is found under both orders of its ends, ``mpls:Paris-Lyon`` and
    ``mpls:Lyon-Paris``, each with the direction out of the end named first in front.
    """
    names = underlay.links.names
    found = {name: (2 * i, 2 * i + 1) for i, name in enumerate(names[::2])}
    for provider in underlay.providers:
        for i, (a, b) in enumerate(provider.ends.tolist()):
            forth = provider.first_link + 2 * i
            end = f"{provider.nodes[b]}-{provider.nodes[a]}"
            prefix = names[forth].removesuffix(f"{provider.nodes[a]}-{provider.nodes[b]}")
            found[f"{prefix}{end}"] = (forth + 1, forth)
    return found

"""One-way delays that the user measured, in place of a provider graph.

A given delay is that of the whole way from site to site, so the access links of
such a transport add none of their own (they keep their jitter, loss and rate). A
transport for which nothing is given keeps its provider. For a pair of sites the
first of these that is given counts:

    (from, to, transport)   (from, to, "")   (to, from, transport)   (to, from, "")

so one entry for a pair means the same delay both ways.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from patronus.engine.overlay import I64
from patronus.sim.topology.unknown import unknown

Delays = Mapping[tuple[str, str, str], int]


def check_delays(delays: Delays, sites: Sequence[str], transports: Sequence[str]) -> None:
    """Make sure that all names exist.

    Raises:
        ValueError: a delay below 0, from a site to itself, or for an unknown name.
    """
    known = {"site": dict.fromkeys(sites), "transport": dict.fromkeys([*transports, ""])}
    for (a, b, transport), delay in delays.items():
        for kind, name in (("site", a), ("site", b), ("transport", transport)):
            if name not in known[kind]:
                raise unknown("delays", kind, name, known[kind])
        if a == b:
            raise ValueError(f"delays: `{a}` to itself")
        if delay < 0:
            raise ValueError(f"delays: `{a}` to `{b}` is below 0")


def covers(delays: Delays, transport: str) -> bool:
    """Say whether delays are given for a transport; then they replace its provider."""
    return any(name in ("", transport) for _, _, name in delays)


def pair_delays(
    delays: Delays, transport: str, pairs: Sequence[tuple[str, str]]
) -> tuple[I64, I64]:
    """Return the delays in ns of pairs, from the first to the second and back.

    Raises:
        ValueError: none is given for some pairs; the message names them.
    """
    forth = [_delay(delays, transport, a, b) for a, b in pairs]
    missing = [f"{a}–{b}" for (a, b), delay in zip(pairs, forth, strict=True) if delay is None]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        whom = f"{', '.join(missing[:5])}{more} over `{transport}`"
        raise ValueError(
            f"delays: none for {whom}; a transport needs one for every pair with a tunnel, or "
            "none at all: then its delays follow from the map"
        )
    back = [_delay(delays, transport, b, a) for a, b in pairs]
    return np.array(forth, dtype=np.int64), np.array(back, dtype=np.int64)


def _delay(delays: Delays, transport: str, a: str, b: str) -> int | None:
    for key in ((a, b, transport), (a, b, ""), (b, a, transport), (b, a, "")):
        if key in delays:
            return delays[key]
    return None

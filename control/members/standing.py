"""How a peer stands with us: a table, and nothing else.

    UNKNOWN ── try ──► JOINING ── proof ──► LIVE ── silence ──► STALE ── proof ──► LIVE
    UNKNOWN ── proof ──► LIVE ── leave ──► LEFT ── proof ──► LIVE
    any ── rekeyed ──► UNKNOWN

A farewell counts in LIVE alone: after silence nothing that was said before is proof.
"""

from collections.abc import Mapping
from enum import Enum, IntEnum, auto
from typing import Final


class Standing(Enum):
    """States of a peer."""

    UNKNOWN = "unknown"
    """Enrolled; nobody has told where it is."""
    JOINING = "joining"
    """It is asked, and has not answered yet."""
    LIVE = "live"
    """It has proved that it speaks now; what it announces is believed."""
    STALE = "stale"
    """It was live and is silent; it is asked again."""
    LEFT = "left"
    """It said that it was going; it will come back by itself."""


class Input(IntEnum):
    """What can happen to a peer."""

    TRY = auto()
    """There is an address to ask at."""
    PROOF = auto()
    """A datagram with the echo of our session, newer than all before."""
    SILENCE = auto()
    LEAVE = auto()
    """A farewell of the session that is proven."""
    REKEYED = auto()
    """The operator has certified another key for it."""


_S, _I = Standing, Input

TABLE: Final[Mapping[tuple[Standing, Input], Standing]] = {
    (_S.UNKNOWN, _I.TRY): _S.JOINING,
    (_S.UNKNOWN, _I.PROOF): _S.LIVE,
    (_S.JOINING, _I.TRY): _S.JOINING,
    (_S.JOINING, _I.PROOF): _S.LIVE,
    (_S.JOINING, _I.REKEYED): _S.UNKNOWN,
    (_S.LIVE, _I.PROOF): _S.LIVE,
    (_S.LIVE, _I.SILENCE): _S.STALE,
    (_S.LIVE, _I.LEAVE): _S.LEFT,
    (_S.LIVE, _I.REKEYED): _S.UNKNOWN,
    (_S.STALE, _I.TRY): _S.STALE,
    (_S.STALE, _I.PROOF): _S.LIVE,
    (_S.STALE, _I.REKEYED): _S.UNKNOWN,
    (_S.LEFT, _I.PROOF): _S.LIVE,
    (_S.LEFT, _I.REKEYED): _S.UNKNOWN,
    (_S.UNKNOWN, _I.REKEYED): _S.UNKNOWN,
}
"""What is not listed does not happen; asking for it is a bug of ours."""

ASKED: Final = frozenset({Standing.UNKNOWN, Standing.JOINING, Standing.STALE})
"""Whom we ask for an answer, as soon as we know where."""

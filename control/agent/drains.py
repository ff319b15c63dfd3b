"""Planned moves: which tunnels of ours are drained, by us or by their peer, and until when.

A drained tunnel is left by both ends. Whoever is asked to drain tells the peer in every probe,
and later that the deadline is over, so both ends run the one deadline of the end that was asked:
flows that the peer began move there, and what answers them moves here.

What we were asked outlives the agent, and a reboot, in a file. Times in it are of the monotonic
clock; of another boot they mean nothing, and the deadline begins anew: whatever flows there were
are gone.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from patronus.control.members.secretfile import keep
from patronus.dataplane.stamp.tlv import Drain
from patronus.engine.forwarding import Bool
from patronus.engine.overlay import I64

DRAINS_FILE: Final = "drains.json"
BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
FAR_NS: Final = 2**62
"""A deadline of a peer that has not passed: it says when. The kernel may add to it."""
_BYTES_MAX: Final = 16 << 20


class Drained(NamedTuple):
    """What is in force, by row."""

    until_ns: I64
    """When what is still there is moved by force; 0: the row is not drained."""
    told: Bool
    """The peer is told: we were asked."""


class Drains:
    """Of one site's tunnels."""

    def __init__(self, ours_ns: I64) -> None:
        """Begin with what we were asked before: by row, the deadline of each drain, 0 for none.

        Of the peers nothing is known.
        """
        self.ours_ns = ours_ns
        self._theirs_ns: I64 = np.zeros(len(ours_ns), dtype=np.int64)

    def ask(self, rows: I64, until_ns: int) -> None:
        """Begin to drain rows, or end it (0); one that is under way keeps its deadline."""
        going = self.ours_ns[rows] != 0
        kept = self.ours_ns[rows] if until_ns else np.zeros(len(rows), dtype=np.int64)
        self.ours_ns[rows] = np.where(going, kept, until_ns)

    def hear(self, said: I64, now_ns: int) -> None:
        """Take what all peers say (``tlv.Drain``)."""
        asked, over = said & Drain.ASKED != 0, said & Drain.OVERDUE != 0
        before = self._theirs_ns
        passed = np.where((before > 0) & (before <= now_ns), before, now_ns)
        self._theirs_ns = np.where(asked, np.where(over, passed, FAR_NS), 0)

    def by_peer(self, rows: I64) -> int:
        """Return how many of some rows their peers drain."""
        return int((self._theirs_ns[rows] != 0).sum())

    @property
    def in_force(self) -> Drained:
        """What holds now: of two deadlines the first."""
        ours, theirs = (np.where(t == 0, FAR_NS, t) for t in (self.ours_ns, self._theirs_ns))
        any_ = (self.ours_ns != 0) | (self._theirs_ns != 0)
        return Drained(np.where(any_, np.minimum(ours, theirs), 0), self.ours_ns != 0)


def stored(folder: Path, labels: Sequence[str], *, now_ns: int, drain_ns: int) -> I64:
    """Return the deadlines of what was drained before, by row.

    Args:
        folder: of the agent's state.
        labels: of the rows, ``transport>peer``.
        now_ns: by the monotonic clock.
        drain_ns: the deadline of a drain that begins anew.
    """
    try:
        with (folder / DRAINS_FILE).open("rb") as file:
            kept = json.loads(file.read(_BYTES_MAX))
        same = kept["boot"] == _boot()
        until = {str(name): int(at) for name, at in kept["drains"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        until, same = {}, False
    found = [until.get(label, 0) if same else (label in until) * (now_ns + drain_ns)
             for label in labels]  # fmt: skip
    # Further ahead than any drain: a hand has written it.
    return np.clip(np.array(found, dtype=np.int64), 0, now_ns + drain_ns)


def store(folder: Path, labels: Sequence[str], until_ns: I64) -> None:
    """Keep the deadlines of what is drained.

    Raises:
        SecretError: it cannot be written; the drain holds until the agent ends.
    """
    drains = {n: int(at) for n, at in zip(labels, until_ns.tolist(), strict=True) if at}
    keep(folder / DRAINS_FILE, json.dumps({"boot": _boot(), "drains": drains}).encode())


def _boot() -> str:
    try:
        return BOOT.read_text().strip()
    except OSError:
        return ""

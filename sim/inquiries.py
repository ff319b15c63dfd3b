"""What a peer says of our packets while its reflections do not come.

A reflection tells how many packets the peer has heard. Where the way out is bad few come
back, just when that is wanted. But the peer probes us, too, and all its packets carry the
same counters. So on a grid the agent looks at the tunnels whose reflection is overdue, and
notes what was sent over each until then. The first packet from the peer that arrives a
round trip later says how much of that was heard.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Final, Protocol

import numpy as np

from patronus.engine.overlay import I64
from patronus.engine.selection import Bools


@dataclass(frozen=True, eq=False)
class Inquiry:
    """What was sent over some rows (ascending) until an instant, and what the peer hears of it."""

    rows: I64
    sequence: I64
    """Of the last probe."""
    sent_ns: I64
    """When it was sent."""
    heard_count: I64
    """Probes that the peer hears, up to that one."""
    data: I64
    """Data packets that were sent and lost up to it, shape (rows, 2)."""

    def at(self, where: Bools | I64) -> "Inquiry":
        """Return those of some rows."""
        return Inquiry(*(getattr(self, f.name)[where] for f in fields(Inquiry)))

    def telling(self, data: I64) -> "Inquiry":
        """Return the same with other counts of data packets."""
        return replace(self, data=data)


class Group(Protocol):
    """Rows (ascending) that are probed at one interval, each at its own phase."""

    @property
    def rows(self) -> I64:
        """The rows."""

    @property
    def interval_ns(self) -> int:
        """Between two probes of one row."""

    @property
    def phase_ns(self) -> I64:
        """Of each row's first probe."""


def last_probes(groups: Iterable[Group], rows: I64, now_ns: int) -> tuple[I64, I64]:
    """Return sequence and time of the last probe of some rows before a time."""
    sequence, sent_ns = np.zeros((2, len(rows)), dtype=np.int64)
    for group in groups:
        place = np.minimum(np.searchsorted(group.rows, rows), len(group.rows) - 1)
        at = np.flatnonzero(group.rows[place] == rows)
        phase_ns = group.phase_ns[place[at]]
        sequence[at] = (now_ns - 1 - phase_ns) // group.interval_ns
        sent_ns[at] = sequence[at] * group.interval_ns + phase_ns
    return sequence, sent_ns


_NONE: Final = np.zeros(0, dtype=np.int64)
_NOTHING: Final = Inquiry(_NONE, _NONE, _NONE, _NONE, _NONE.reshape(0, 2))


class Inquiries:
    """Those that wait for an answer, at most one a row."""

    def __init__(self) -> None:
        self._asked = _NOTHING

    def resume(self, asked: Inquiry) -> None:
        """Take inquiries that were begun elsewhere, about rows of which none is here."""
        if len(asked.rows):
            self._asked = _in_order(self._asked, asked)

    def step(
        self, overdue: I64, round_trip_ns: I64, heard_ns: I64, note: Callable[[I64], Inquiry]
    ) -> Inquiry:
        """Return the inquiries that are answered, and begin those that are due.

        Args:
            overdue: rows whose reflection is overdue now, ascending; the others need none.
            round_trip_ns: how long a round trip of each of them may take.
            heard_ns: by row, when anything came from the peer last.
            note: returns what has been sent over some rows.
        """
        if not len(overdue):  # nearly always, where nothing is wrong
            self._asked = _NOTHING
            return _NOTHING
        asked = self._asked.at(np.isin(self._asked.rows, overdue))
        last_ns = asked.sent_ns + round_trip_ns[np.searchsorted(overdue, asked.rows)]
        answered = heard_ns[asked.rows] >= last_ns
        waiting = asked.at(~answered)
        fresh = note(overdue[np.isin(overdue, waiting.rows, invert=True)])
        self._asked = _in_order(waiting, fresh)
        return asked.at(answered)


def _in_order(*parts: Inquiry) -> Inquiry:
    """Return inquiries about different rows as one."""
    columns = (np.concatenate([getattr(i, f.name) for i in parts]) for f in fields(Inquiry))
    both = Inquiry(*columns)
    return both.at(np.argsort(both.rows))

"""What can be read off test packets: one instrument for each quantity.

An instrument sends the packets of a slot over the wire, and is then told which of them
count for which time of which occurrence. Sums are kept by occurrence.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

import numpy as np

from patronus.engine.fingerprint import mix
from patronus.engine.overlay import I64
from patronus.engine.selection import Bools
from patronus.engine.units import NEVER, PPM
from patronus.sim.faults.kinds import commanded
from patronus.sim.gauging.evidence import (
    UNOBSERVED,
    Count,
    Reading,
    Shares,
    Weighted,
    tell,
    weigh,
)
from patronus.sim.gauging.shots import Field, Shots
from patronus.sim.gauging.spans import When
from patronus.sim.timeline import Occurrence
from patronus.sim.wire import Wire

BYTES: Final = 100
"""Size of a test packet: no MTU is in its way."""


@dataclass(frozen=True, eq=False)
class Aim:
    """The tunnels that an occurrence is measured on, and what it should do to them."""

    field: Field
    effect: I64
    """By row, in the unit of the quantity."""
    noise_ns: I64
    """By row: bound of the delay noise, the fault's included."""
    own: tuple[Weighted, ...] = ()
    native: tuple[Weighted, ...] = ()


class Instrument(ABC):
    """Measures one quantity of one fault."""

    def __init__(self, occurrence: Occurrence, wire: Wire) -> None:
        """Take any occurrence of the fault: all of them hit the same."""
        self.fault, self.links, self.wire = occurrence.fault, occurrence.links, wire
        self._sums: dict[int, I64] = {}
        self._aims: dict[int, Aim] = {}

    def aim(self, field: Field) -> None:
        """Measure these tunnels from now on."""
        jitter = np.append(self.wire.underlay.links.jitter_ns, [0, 0])
        noise = jitter[field.ways.links].sum(axis=1) + field.crossed * self.fault.jitter_ns
        self._aim = Aim(field, self._effect(field), noise, *self._bursts(field))

    def shoot(self, shots: Shots) -> None:
        """Send the packets of a slot."""
        self._shoot(shots)

    @abstractmethod
    def _effect(self, field: Field) -> I64:
        """Return what the fault should do to each row, in the unit of the quantity."""

    @abstractmethod
    def _shoot(self, shots: Shots) -> None:
        """Send the packets of a slot."""

    @abstractmethod
    def _values(self, mask: Bools) -> I64:
        """Return what some packets of the slot add up to, shape (rows or 1, columns)."""

    @abstractmethod
    def _judge(self, sums: I64, aim: Aim, spans_ns: tuple[int, int], *, undone: bool) -> Reading:
        """Read the sums of one occurrence, shape (3, rows or 1, columns).

        ``spans_ns`` says how long was measured during and after.
        """

    def add(self, ordinal: int, when: When, mask: Bools) -> None:
        """Count some packets of the slot for a time of an occurrence."""
        values = self._values(mask)
        if ordinal not in self._sums:
            self._sums[ordinal] = np.zeros((3, *values.shape), dtype=np.int64)
            self._aims[ordinal] = self._aim
        sums = self._sums[ordinal]
        sums[when] = self._join(sums[when], values)

    def _join(self, sums: I64, values: I64) -> I64:
        """Return sums with more values in them."""
        return sums + values

    def reading(self, ordinal: int, spans_ns: tuple[int, int], *, undone: bool) -> Reading:
        """Return what was measured of one occurrence."""
        if ordinal not in self._sums:
            return Reading()
        return self._judge(self._sums[ordinal], self._aims[ordinal], spans_ns, undone=undone)

    def deliver(
        self, shots: Shots, sent_ns: I64, *, salt: int = 0, size: I64 | None = None
    ) -> tuple[I64, I64]:
        """Send one packet at each time; return arrivals and copies, of those that are sent."""
        arrived = np.full(sent_ns.shape, NEVER, dtype=np.int64)
        copies = np.zeros(sent_ns.shape, dtype=np.int64)
        at = np.nonzero(shots.inside)
        word = shots.word[at] if not salt else mix(shots.word[at] + np.uint64(salt))
        sizes = np.full(len(at[0]), BYTES, dtype=np.int64) if size is None else size[at]
        rows = self._aim.field.ways.rows[at[0]]
        arrived[at], copies[at] = self.wire.deliver(rows, sent_ns[at], word, sizes)
        return arrived, copies

    def _bursts(self, field: Field) -> tuple[tuple[Weighted, ...], tuple[Weighted, ...]]:
        """Return the bursts of the fault and those of the links themselves."""
        links, count = np.unique(field.ways.links, return_counts=True)
        share = count * PPM // max(1, len(field.ways.rows))
        real = (links >= 0) & (links != self.wire.neutral)
        weights = list(zip(links[real].tolist(), share[real].tolist(), strict=True))
        burst, usual = self.fault.burst, self.wire.underlay.links.burst
        own = [Weighted(w, burst) for i, w in weights if burst is not None and i in self.links]
        native = [Weighted(w, b) for i, w in weights if (b := usual[i]) is not None]
        return tuple(own), tuple(native)


# ---------------------------------------------------------------- shares


class Share(Instrument):
    """Counts packets, and those that were hit."""

    _counted: Bools
    _hit: Bools

    def _effect(self, field: Field) -> I64:
        left = np.full(len(field.crossed), PPM, dtype=np.int64)
        for turn in range(int(field.crossed.max(initial=0))):
            fewer = left * (PPM - commanded(self.fault)) // PPM
            left = np.where(field.crossed > turn, fewer, left)
        return self._shown_ppm(PPM - left)

    def _shown_ppm(self, share_ppm: I64) -> I64:
        """Return what shows of a share at the receiver."""
        return share_ppm

    def _values(self, mask: Bools) -> I64:
        counted = self._counted & mask
        packets = counted.sum(axis=1)
        hits, effect = (self._hit & counted).sum(), (packets * self._aim.effect).sum()
        return np.array([[packets.sum(), hits, effect]], dtype=np.int64)

    def _judge(self, sums: I64, aim: Aim, spans_ns: tuple[int, int], *, undone: bool) -> Reading:
        table = sums[:, 0, :].tolist()
        before, during, after = (Count(packets, hits) for packets, hits, _ in table)
        there, then = UNOBSERVED, UNOBSERVED if undone else None
        if during.packets:
            effect = table[When.DURING][2] // during.packets
            shares = Shares(effect, aim.own, aim.native)
            fits, nothing = shares.judge(before, during, spans_ns[0])
            there = weigh(fits, nothing)
            if undone and after.packets:
                fits, nothing = shares.judge(before, after, spans_ns[1])
                then = weigh(nothing, fits)
        shown = [count.share_ppm for count in (before, during, after)]
        return tell(shown, there, then)


class Loss(Share):
    """Packets that do not arrive."""

    def _shoot(self, shots: Shots) -> None:
        arrived, _ = self.deliver(shots, shots.sent_ns)
        self._counted, self._hit = shots.inside, arrived == NEVER


class Damage(Share):
    """Packets that fail authentication, of those that reach the receiver at all."""

    def _shoot(self, shots: Shots) -> None:
        arrived, _ = self.deliver(shots, shots.sent_ns)
        damaged = np.zeros(shots.inside.shape, dtype=np.bool_)
        at = np.nonzero(shots.inside)
        rows = self._aim.field.ways.rows[at[0]]
        damaged[at] = self.wire.damaged(rows, shots.sent_ns[at], shots.word[at])
        self._counted, self._hit = damaged | (arrived != NEVER), damaged


class Copies(Share):
    """Packets that arrive twice, of those that arrive."""

    def _shoot(self, shots: Shots) -> None:
        arrived, copies = self.deliver(shots, shots.sent_ns)
        self._counted, self._hit = arrived != NEVER, copies > 1


class Order(Share):
    """Packets that arrive after one that was sent later (RFC 4737 calls them reordered).

    Three packets follow each test packet closely enough for one that is held back to be
    overtaken, and as far behind as that allows, so that plain jitter does not do the same.
    """

    _FOLLOWERS: Final = (4, 5, 6)  # eighths of the time that packets are held back

    def _shoot(self, shots: Shots) -> None:
        first, _ = self.deliver(shots, shots.sent_ns)
        earliest = np.full(first.shape, NEVER, dtype=np.int64)
        for eighths in self._FOLLOWERS:
            sent = shots.sent_ns + self.fault.delay_ns * eighths // 8
            arrived, _ = self.deliver(shots, sent, salt=eighths)
            earliest = np.minimum(earliest, arrived)
        self._counted = (first != NEVER) & (earliest != NEVER)
        self._hit = self._counted & (first > earliest)

    def _shown_ppm(self, share_ppm: I64) -> I64:
        # All followers may be held back, too; then nobody overtakes.
        all_held = share_ppm
        for _ in self._FOLLOWERS[1:]:
            all_held = all_held * share_ppm // PPM
        return share_ppm * (PPM - all_held) // PPM

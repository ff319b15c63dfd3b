"""Health of one tunnel, kept as lists of what happened."""

from fractions import Fraction
from math import isqrt

NEVER = 2**63 - 1


def floor_of(number: Fraction) -> int:
    """Return the greatest whole number not above."""
    return number.numerator // number.denominator


class Tunnel:
    """One tunnel from the first probe on."""

    def __init__(self, window: int, memory: int) -> None:
        self.window, self.memory = window, memory
        self.srtt: int | None = None
        self.jitter: Fraction | None = None
        self.updated: int | None = None
        self.late = 0
        self.buckets = [(0, 0)]
        self.last: tuple[int, int, int] | None = None
        """Sequence, transit and peer's count of the newest sample."""
        self.habit = [0, 0, 0]

    def observe(
        self, sent: int, reflected: int, arrived: int, sequence: int, heard: int
    ) -> tuple[int, int, int]:
        """Return (sent, lost, round trip) of this sample."""
        rtt = arrived - sent
        if arrived == NEVER or rtt < 0:
            return 0, 0, -1
        transit = reflected - sent
        if self.last is None:
            missing, lost = 0, 0
            self.srtt = rtt
        else:
            ahead = (sequence - self.last[0]) % 2**32
            if ahead == 0 or ahead > 2**31:
                self.late += 1
                return 0, 0, -1
            missing = ahead - 1
            counted = (heard - self.last[2]) % 2**32
            counted = counted - 2**32 if counted >= 2**31 else counted
            lost = max(0, min(missing, ahead - counted))
            assert self.srtt is not None
            self.srtt += (rtt - self.srtt) // 8
            self._vary(abs(transit - self.last[1]))
        self.last = sequence, transit, heard
        self.updated = arrived
        self._add(missing + 1, lost)
        if missing > 10:
            self.habit[0] += 1
        else:
            self.habit[0] += missing + 1
            self.habit[1] += missing
            self.habit[2] += missing > 0
        return missing + 1, lost, rtt

    def _vary(self, difference: int) -> None:
        # RFC 3550 A.8 keeps sixteen times the jitter and rounds the part it takes away.
        x16 = 16 * (self.jitter or Fraction(0))
        self.jitter = (x16 + difference - floor_of((x16 + 8) / 16)) / 16

    def _add(self, sent: int, lost: int) -> None:
        before = self.buckets[-1]
        self.buckets[-1] = before[0] + sent, before[1] + lost

    def count(self, sent: int, lost: int) -> None:
        """Add data packets."""
        self._add(sent, lost)

    def rotate(self) -> None:
        """Close the open bucket."""
        sent, lost = self.buckets[-1]
        self.buckets[-1] = min(sent, 2**31 - 1), min(lost, 2**31 - 1)
        self.buckets.append((0, 0))
        if self.habit[0] > self.memory:
            self.habit = [n // 2 for n in self.habit]

    def count_anew(self) -> None:
        """Let the window begin here."""
        self.buckets = [(0, 0)]

    def figures(self) -> tuple[int, ...]:
        """Return srtt, jitter, updated, late, loss, its proof; habit: loss, bursts, proof."""
        recent = self.buckets[-self.window - 1 :]
        sent, lost = sum(b[0] for b in recent), sum(b[1] for b in recent)
        loss = lost * 1_000_000 // sent if sent else -1
        proven = max(0, lost - min(isqrt(4 * lost), 4096)) * 1_000_000 // sent if sent else -1
        probes, gone, runs = self.habit
        sure = max(0, runs - isqrt(4 * runs)) * gone // max(runs, 1)
        return (
            -1 if self.srtt is None else self.srtt,
            -1 if self.jitter is None else floor_of(self.jitter),
            -(2**62) if self.updated is None else self.updated,
            self.late,
            loss,
            proven,
            gone * 1_000_000 // probes if probes > 0 else -1,
            gone * 1000 // runs if runs else 1000,
            sure * 1_000_000 // probes if probes > 0 else -1,
        )

"""How many false downs loss should make: a Monte Carlo of the packet-time rule, and a formula.

The Monte Carlo plays what both kernels do with probes, packet by packet, with tunnels side by
side. At each interval both ends send a probe, which comes as late as they did; it is lost by the
chain of its direction or arrives, and is sent back at once over the other direction's chain. A
probe tells by its H bit whether its sender has heard the other end within the detect time; a
reflection proves without it. Rules are those of ``engine/fastpath.py``, written for arrays here.
``engine/multiplier.py`` has the formula, for one probe an interval and none in return.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from patronus.engine.multiplier import adapt, false_downs_micro
from patronus.engine.units import MINUTE, MS, PPM, SECOND
from tests.bench.lossy import Loss

LEVEL: Final = 0.95
FINE_NS: Final = 100_000
"""Width of a class of lateness."""

I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

EVENLY: Final = np.ones(MS // FINE_NS)
"""Lateness of a pacer that looks once a millisecond, and is never kept from it."""


class Setting(NamedTuple):
    """What is played."""

    loss: Loss
    interval_ns: int
    detect_ns: int
    late: Floats = EVENLY
    """How often probes came so late, by ``FINE_NS``."""


class Played(NamedTuple):
    """What came of it, over all tunnels."""

    downs: int
    """At both ends."""
    seconds: float
    """Of one tunnel."""
    cluster: float
    """Variance over mean of the downs of a tunnel: they come together, at both ends."""
    probes: int
    unanswered: int
    bursts: int
    """Unanswered in a row, by tunnel and end."""

    @property
    def share(self) -> float:
        """Return the share of probes of which no reflection came back."""
        return self.unanswered / self.probes

    @property
    def burst(self) -> float:
        """Return how many probes in a row got no reflection, on average."""
        return self.unanswered / self.bursts if self.bursts else 1.0

    def expected(self, seconds: float) -> float:
        """Return the mean number of downs in so many seconds of one tunnel."""
        return self.downs * seconds / self.seconds

    def at_most(self, seconds: float, level: float = LEVEL) -> float:
        """Return what chance exceeds with a probability of 1 - level only, its own noise added."""
        mean, cluster = self.expected(seconds), max(self.cluster, 1.0)
        own = float(stats.norm.ppf(level)) * np.sqrt(cluster * self.downs) * seconds / self.seconds
        return mean + float(np.hypot(chance(mean, level, cluster) - mean, own))


def chance(mean: float, level: float = LEVEL, cluster: float = 1.0) -> float:
    """Return what a number of events exceeds with a probability of 1 - level only.

    Args:
        mean: of the number.
        level: of confidence.
        cluster: events that come together; clusters are Poisson.
    """
    return cluster * float(stats.poisson.ppf(level, mean / cluster))


class Play:
    """Both ends of many tunnels; arrays have shape (2 * tunnels,), the near ends first."""

    def __init__(self, given: Setting, tunnels: int, draw: np.random.Generator) -> None:
        self._given, self._tunnels, self._draw = given, tunnels, draw
        self.heard_ns: I64 = np.zeros(2 * tunnels, dtype=np.int64)
        self.confirmed_ns: I64 = np.zeros(2 * tunnels, dtype=np.int64)
        self.down: Bools = np.zeros(2 * tunnels, dtype=np.bool_)
        self.downs: I64 = np.zeros(2 * tunnels, dtype=np.int64)
        self._bad: Bools = np.zeros(2 * tunnels, dtype=np.bool_)
        """Of what an end sends: the last one was lost."""
        self._silent: Bools = np.zeros(2 * tunnels, dtype=np.bool_)
        self._unanswered = self._bursts = self._probes = 0
        self._lateness = ladder_of(given.late)

    def play(self, intervals: int) -> Played:
        """Go on for some intervals, and return what came of all so far."""
        start = self._probes // (2 * self._tunnels)
        for number in range(start, start + intervals):
            self._interval(number * self._given.interval_ns)
        each = self.downs.reshape(2, -1).sum(axis=0)
        mean = float(each.mean())
        seconds = self._probes / 2 * self._given.interval_ns / SECOND
        return Played(
            int(each.sum()), seconds, float(each.var()) / mean if mean else 1.0,
            self._probes, self._unanswered, self._bursts,
        )  # fmt: skip

    def _interval(self, due_ns: int) -> None:
        """Send a probe from either end; whoever is less late is first."""
        late = self._late()
        near = np.arange(self._tunnels)
        early = np.where(late[: self._tunnels] <= late[self._tunnels :], 0, self._tunnels)
        for sender in (near + early, near + self._tunnels - early):
            receiver = (sender + self._tunnels) % (2 * self._tunnels)
            self._probe(sender, receiver, due_ns + late[sender])

    def _late(self) -> I64:
        size = 2 * self._tunnels
        steps = self._lateness[self._draw.integers(0, len(self._lateness), size)]
        late: I64 = steps * FINE_NS + self._draw.integers(0, FINE_NS, size)
        return late

    def _probe(self, sender: I64, receiver: I64, now_ns: I64) -> None:
        hears = now_ns - self.heard_ns[sender] <= self._given.detect_ns
        came = self._passes(sender, np.ones(len(sender), dtype=np.bool_))
        self._arrive(receiver[came], now_ns[came], hears[came])
        back = self._passes(receiver, came)
        self._arrive(sender[back], now_ns[back], np.ones(int(back.sum()), dtype=np.bool_))
        self._probes += len(sender)
        self._unanswered += int((~back).sum())
        self._bursts += int((~back & ~self._silent[sender]).sum())
        self._silent[sender] = ~back

    def _passes(self, sender: I64, sent: Bools) -> Bools:
        """Step the chains of those that send; tell which packets are sent and pass."""
        loss = self._given.loss
        bad = self._bad[sender]
        lost = self._draw.random(len(sender)) < np.where(bad, loss.stay, loss.enter)
        self._bad[sender] = np.where(sent, lost, bad)
        return sent & ~lost

    def _arrive(self, at: I64, now_ns: I64, proof: Bools) -> None:
        """Stamp a packet at some ends; proof: a reflection, or one whose H bit is set."""
        detect_ns = self._given.detect_ns
        self._fall(at[now_ns - self.confirmed_ns[at] > detect_ns])
        self.heard_ns[at] = now_ns
        gone_ns = np.minimum(self.confirmed_ns[at], now_ns - detect_ns - 1)
        self.confirmed_ns[at] = np.where(proof, now_ns, gone_ns)
        self.down[at[proof]] = False
        self._fall(at[~proof])

    def _fall(self, at: I64) -> None:
        self.downs[at] += ~self.down[at]
        self.down[at] = True


def ladder_of(late: Floats, steps: int = 10_000) -> I64:
    """Return classes of lateness, each as often as it was met: to draw from evenly."""
    below = np.cumsum(late) / late.sum()
    ladder: I64 = np.searchsorted(below, (np.arange(steps) + 0.5) / steps)
    return ladder


def play(given: Setting, *, tunnels: int, seconds: float, seed: int = 1) -> Played:
    """Play so many seconds of so many tunnels."""
    draw = np.random.default_rng(seed)
    return Play(given, tunnels, draw).play(round(seconds * SECOND / given.interval_ns))


def multiplier_for(configured: int, played: Played, interval_ns: int) -> int:
    """Return the multiplier that the engine would choose once it knows how probes get lost."""
    chosen = adapt(np.array([configured]), **_habit(played, interval_ns))
    return int(chosen[0])


def by_formula(multiplier: int, played: Played, interval_ns: int, seconds: float) -> float:
    """Return the downs that ``engine/multiplier.py`` predicts at both ends."""
    micro = false_downs_micro(multiplier, over_ns=MINUTE, **_habit(played, interval_ns))
    return 2 * float(micro[0]) / 1e6 * seconds * SECOND / MINUTE


def _habit(played: Played, interval_ns: int) -> dict[str, I64]:
    """Return how probes get lost, both directions together, as the engine counts it."""
    return {
        "interval_ns": np.array([interval_ns]),
        "loss_ppm": np.array([round(played.share * PPM)]),
        "burst_milli": np.array([round(played.burst * 1000)]),
    }

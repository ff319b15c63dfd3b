"""How good each tunnel is for each class, as the selection sees it.

Verdicts and metrics are taken once per evaluation interval and change lazily:
worse counts at once, better only after it has held (the damping's hold); the
*published* metric follows the smoothed one only when they differ by more than
half the switching margin. So in calm weather an evaluation changes nothing and
the selection has nothing to do.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from patronus.engine.configured import Configured
from patronus.engine.mos import CODEC_INDEX, CODECS
from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.policy import Policy, SlaClass
from patronus.engine.units import PPM
from patronus.engine.verdict import (
    COMPLIANT,
    UNKNOWN,
    UNKNOWN_BADNESS_NS,
    VIOLATING,
    Figures,
    badness_ns,
    verdict,
)

Bools = npt.NDArray[np.bool_]
I8 = npt.NDArray[np.int8]

GAIN_SHIFT: Final = 2  # a metric is smoothed over about four evaluations

_RUNS_MAX: Final = 32_000
"""A hold of more evaluations than this counts as one of this many."""

NUMBERS: Final = (
    "verdict", "metric_now_ns", "metric_ns", "rtt_ns", "jitter_ns", "loss_ppm", "mtu"
)  # fmt: skip
"""What the journal tells of a row; figures go with the published metric."""

Refresh = Callable[[I64 | I32], None]
"""Called with the rows whose figures of this moment are to be read."""


def nothing_to_refresh(rows: I64 | I32) -> None:
    """Leave rows alone: what is known of them is always up to date."""


class Judged(NamedTuple):
    """What an evaluation found; one element a row."""

    changed: Bools
    """The verdict of some class is another one."""
    moved: Bools
    """The published metric is another one."""
    fell: Bools
    """Some class's SLA is broken from now on, or worse than that."""
    rose: Bools
    """Some class's SLA was broken, and what is better has held."""


NONE_JUDGED: Final = Judged(*np.zeros((4, 0), dtype=np.bool_))
"""What an evaluation of no rows finds."""


class Terms(NamedTuple):
    """What the policy asks, as numbers; -1 stands for what it does not ask."""

    limits: I64
    """Shape (classes, 6): round trip, jitter, loss, MOS, and the codec's Ie and Bpl."""
    margin_ns: int
    margin_ppm: int


class Standing(NamedTuple):
    """What :meth:`Ranking.evaluate` compares with; the arrays themselves."""

    verdict: I8
    better_runs: npt.NDArray[np.int16]
    metric_now: I64
    metric_smooth: I64
    metric_published: I64


class Ranking:
    """Verdicts by (class, row) and metrics by row."""

    def __init__(self, overlay: Overlay, policy: Policy, configured: Configured) -> None:
        rows, classes = overlay.rows, len(policy.classes)
        self._overlay, self._policy, self._configured = overlay, policy, configured
        self.refresh: Refresh = nothing_to_refresh
        self.mtu: I64 = np.zeros(rows, dtype=np.int64)
        """Largest packet of users that each row carries, 0: not known."""
        self.told: I64 = np.full((3, rows), -1, dtype=np.int64)
        """Round trip, jitter and loss as of the published metric, by row."""
        self.verdict: I8 = np.full((classes, rows), UNKNOWN, dtype=np.int8)
        """In force; see ``patronus.engine.verdict``."""
        self._better_runs = np.zeros((classes, rows), dtype=np.int16)
        self.metric_now: I64 = np.full(rows, UNKNOWN_BADNESS_NS, dtype=np.int64)
        self.metric_smooth: I64 = np.full(rows, UNKNOWN_BADNESS_NS, dtype=np.int64)
        self.metric_published: I64 = np.full(rows, UNKNOWN_BADNESS_NS, dtype=np.int64)

    def evaluate(self, rows: I64, figures: Figures, hold_ns: I64) -> Judged:
        """Judge some rows anew and say what is new about them.

        Args:
            rows: sorted and unique.
            figures: of those rows, stale ones already unknown.
            hold_ns: how long each row must be better before it counts.
        """
        moved = self._measure(rows, figures)
        turned = np.zeros((3, len(rows)), dtype=np.bool_)
        runs_needed = np.clip(hold_ns // self._policy.evaluation_ns, 1, _RUNS_MAX)
        for number in range(len(self.verdict)):
            self._judge(number, rows, figures, runs_needed, turned)
        changed, fell, rose = turned
        return Judged(changed, moved, fell, rose)

    @property
    def fresh(self) -> bool:
        """Whether the metrics of this moment are up to date without being asked for."""
        return self.refresh is nothing_to_refresh

    @property
    def standing(self) -> Standing:
        """The verdicts and metrics of all rows, for a driver that compiles the usual case."""
        metrics = self.metric_now, self.metric_smooth, self.metric_published
        return Standing(self.verdict, self._better_runs, *metrics)

    def at_present(self, rows: I64 | I32) -> I64:
        """Return the metric of this moment of some rows, in their shape."""
        self.refresh(rows)
        return self.metric_now[rows]

    def condemn(self, rows: I64, figures: Figures) -> Bools:
        """Take over that SLAs are broken, at once (after an alarm), and nothing else.

        Returns:
            Shape (classes, rows): what has come to break its SLA, or to be an outage.
        """
        fell = np.zeros((len(self.verdict), len(rows)), dtype=np.bool_)
        for number in range(len(self.verdict)):
            raw = self._raw(number, rows, figures)
            new = (raw >= VIOLATING) & (raw > self.verdict[number, rows])
            if new.any():
                fell[number] = new
                self.verdict[number, rows[new]] = raw[new]
                self._better_runs[number, rows[new]] = 0
        return fell

    def rejudge(self, rows: I64, figures: Figures) -> None:
        """Take the verdicts of the moment as they are: the limits have changed."""
        for number in range(len(self.verdict)):
            self.verdict[number, rows] = self._raw(number, rows, figures)
            self._better_runs[number, rows] = 0

    def forget(self, rows: I64) -> None:
        """Start again from nothing known (the agent lost its memory)."""
        self.verdict[:, rows] = UNKNOWN
        self._better_runs[:, rows] = 0
        for metric in (self.metric_now, self.metric_smooth, self.metric_published):
            metric[rows] = UNKNOWN_BADNESS_NS
        self.told[:, rows] = -1

    def _judge(
        self, number: int, rows: I64, figures: Figures, runs_needed: I64, turned: Bools
    ) -> None:
        """Judge rows for one class; mark in ``turned`` what changed, fell and rose."""
        raw = self._raw(number, rows, figures)
        # Mostly every verdict is what it was, and none is on its way to a better one.
        some = np.flatnonzero(
            (raw != self.verdict[number, rows]) | (self._better_runs[number, rows] > 0)
        )
        if len(some):
            turned[:, some] |= self._turn(number, rows[some], raw[some], runs_needed[some])

    def _turn(self, number: int, rows: I64, raw: I8, runs_needed: I64) -> Bools:
        """Take verdicts of the moment: worse ones at once, better ones when they have held."""
        before = self.verdict[number, rows]
        worse = raw > before
        # Losing sight of a bad tunnel does not make it better.
        better = (raw < before) & ((before < VIOLATING) | (raw != UNKNOWN))
        runs = np.where(better, self._better_runs[number, rows] + 1, 0)
        proven = better & ((runs >= runs_needed) | (before < VIOLATING))
        changed: Bools = worse | proven
        self._better_runs[number, rows] = np.where(changed, 0, np.minimum(runs, _RUNS_MAX))
        self.verdict[number, rows] = np.where(changed, raw, before)
        return np.stack([changed, worse & (raw >= VIOLATING), proven & (before >= VIOLATING)])

    def _raw(self, number: int, rows: I64, figures: Figures) -> I8:
        """Return the verdicts of the moment, each by the policy of the row's own site."""
        raw = np.full(len(rows), COMPLIANT, dtype=np.int8)
        for policy, at in self._configured.split(self._overlay.src[rows]):
            if policy.features.sla:
                sla = policy.classes[number].sla
                raw[at] = verdict(Figures(*(f[at] for f in figures)), sla)
                self._narrow(raw, rows, at, sla)
        return raw

    def is_narrow(self, rows: I64) -> Bools:
        """Tell which rows are known to carry less than some class must send."""
        found = np.zeros(len(rows), dtype=np.bool_)
        for policy, at in self._configured.split(self._overlay.src[rows]):
            wanted = max((c.sla.mtu or 0 for c in policy.classes), default=0)
            if wanted:
                mtu = self.mtu[rows[at]]
                found[at] = (mtu > 0) & (mtu < wanted)
        return found

    def _narrow(self, raw: I8, rows: I64, at: I64 | slice, sla: SlaClass) -> None:
        """Worsen the verdicts of rows that are known to carry less than a class must send."""
        if sla.mtu is not None:
            mtu = self.mtu[rows[at]]
            short = (mtu > 0) & (mtu < sla.mtu)
            raw[at] = np.where(short, np.maximum(raw[at], np.int8(VIOLATING)), raw[at])

    def _measure(self, rows: I64, figures: Figures) -> Bools:
        now = badness_ns(figures)
        smooth = self.metric_smooth[rows]
        fresh = (smooth == UNKNOWN_BADNESS_NS) | (now == UNKNOWN_BADNESS_NS)
        smooth = np.where(fresh, now, smooth + ((now - smooth) >> GAIN_SHIFT))
        self.metric_now[rows], self.metric_smooth[rows] = now, smooth
        published = self.metric_published[rows]
        moved: Bools = np.abs(smooth - published) > self._band_ns(rows, published)
        # Beginning and ceasing to be known is always news, however wide the band.
        moved |= (smooth == UNKNOWN_BADNESS_NS) != (published == UNKNOWN_BADNESS_NS)
        self.metric_published[rows] = np.where(moved, smooth, published)
        self.told[:, rows[moved]] = np.stack(figures)[:, moved]
        return moved

    def _band_ns(self, rows: I64, published: I64) -> I64:
        """Return how far the smoothed metric may be from the published one: half a margin."""
        band = np.zeros(len(rows), dtype=np.int64)
        for policy, at in self._configured.split(self._overlay.src[rows]):
            if policy.features.hysteresis:
                share = published[at] * policy.margin_ppm // PPM
                band[at] = np.maximum(policy.margin_ns, share) // 2
        return band

    def told_figures(self, rows: I32 | I64) -> Figures:
        """Return the figures that go with the published metric, in the shape of ``rows``."""
        return Figures(*self.told[:, rows])

    def whole(self, rows: I32 | I64, told: I64, sla: SlaClass) -> I8:
        """Return the verdicts of tunnels together with what is told of the rest of the way.

        ``told`` has a last axis of (rtt_ns, jitter_ns, loss_ppm); the others broadcast to
        those of ``rows``.
        """
        rest = np.moveaxis(np.broadcast_to(told, (*rows.shape, 3)), -1, 0)
        figures = join_figures(self.told_figures(rows), Figures(*rest))
        return verdict(Figures(*(f.ravel() for f in figures)), sla).reshape(rows.shape)

    def numbers(self, rows: I32 | I64, classes: I64) -> list[list[int]]:
        """Return what decided about some rows and a class of each, by name of ``NUMBERS``."""
        self.refresh(rows)
        metrics = self.metric_now[rows], self.metric_published[rows]
        decided = self.verdict[classes, rows], *metrics, *self.told[:, rows], self.mtu[rows]
        return [column.tolist() for column in decided]


def join_figures(first: Figures, second: Figures) -> Figures:
    """Return the figures of two tunnels in a row; unknown where one of them is.

    Round trips and jitters add up, losses are independent.
    """
    known = [(a >= 0) & (b >= 0) for a, b in zip(first, second, strict=True)]
    loss = first.loss_ppm + second.loss_ppm - first.loss_ppm * second.loss_ppm // PPM
    return Figures(
        np.where(known[0], first.rtt_ns + second.rtt_ns, -1),
        np.where(known[1], first.jitter_ns + second.jitter_ns, -1),
        np.where(known[2], loss, -1),
    )


def terms(policy: Policy) -> Terms | None:
    """Return the terms of a policy, None where they do not say all that it asks for."""
    if not (policy.features.sla and policy.features.brownout):
        return None
    if any(c.sla.mtu is not None for c in policy.classes):
        return None
    limits = np.array([limits_of(c.sla) for c in policy.classes], dtype=np.int64)
    bands = (policy.margin_ns, policy.margin_ppm) if policy.features.hysteresis else (-1, -1)
    return Terms(limits, *bands)


def limits_of(sla: SlaClass) -> tuple[int, ...]:
    """Return what a class asks of a way, as in a row of :class:`Terms`."""
    asked = (sla.latency_ns, sla.jitter_ns, sla.loss_ppm, sla.mos_milli)
    codec = CODECS[CODEC_INDEX[sla.codec]]
    return (*(-1 if limit is None else limit for limit in asked), codec.ie_milli, codec.bpl_ppm)

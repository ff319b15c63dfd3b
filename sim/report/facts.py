"""The figures of one run that several parts of the report speak about, taken once."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from patronus.engine.units import SECOND
from patronus.sim.carried import carried
from patronus.sim.report.quantiles import Quantiles
from patronus.sim.report.watched import Tunnel, Watched
from patronus.sim.run import Run

BEFORE_NS = 5 * SECOND
AFTER_NS = 10 * SECOND
"""How much of the time before a fault and after its end is looked at."""

LONGEST_NS = 60 * SECOND
"""Of a longer fault only its beginning is."""

_TOLD = ("switch_ns", "outage_ns", "moved_by")
"""Of the exposures of each fault; a copy of a million with all their names is heavy."""


@dataclass(frozen=True, eq=False)
class Occurrence:
    """One happening of one fault, and what it did to traffic."""

    name: str
    title: str
    """The fault's name; with the ordinal where it happens more than once."""
    kind: str
    label: str
    start_ns: int
    end_ns: int
    """When it is undone, ``NEVER`` if that is after the end."""
    exposures: pd.DataFrame
    """Those that traffic was on, with the columns that are told of."""

    @cached_property
    def switch(self) -> Quantiles:
        """How long its exposures took to be back on a path that works."""
        return Quantiles.of(self.exposures["switch_ns"])

    @cached_property
    def outage(self) -> Quantiles:
        """How long users had less than half of their packets."""
        return Quantiles.of(self.exposures["outage_ns"])

    def window(self, run_end_ns: int) -> tuple[int, int]:
        """Return from when until when its surroundings are worth looking at."""
        start = max(0, self.start_ns - BEFORE_NS)
        until = min(self.end_ns, self.start_ns + LONGEST_NS, run_end_ns)
        return start, max(start + SECOND, min(run_end_ns, until + AFTER_NS))

    @cached_property
    def harm(self) -> tuple[int, int, int]:
        """For ranking: the longest way back, the longest outage, how many were exposed."""
        longest = [q.worst_ns if q.count else -1 for q in (self.switch, self.outage)]
        return longest[0], longest[1], self.switch.count


@dataclass(frozen=True, eq=False)
class Facts:
    """A run and what is counted from its frames."""

    run: Run

    @cached_property
    def end_ns(self) -> int:
        """The end of the time axis: where the run stopped, or later if anything was recorded."""
        summary, run = self.run.summary, self.run
        # The simulated time holds the warm-up too, the duration what a stopped run did not reach.
        told = [float(summary[k]) for k in ("duration_s", "simulated_s") if k in summary]
        marks = [SECOND, round(min(told) * SECOND) if told else 0]
        if len(run.series):
            marks.append(int(run.series["t_ns"].max()) + SECOND)
        for times in (run.decisions["t_ns"], run.faults["start_ns"]):
            marks += [int(times.max())] if len(times) else []
        return max(marks)

    @cached_property
    def exposed(self) -> pd.DataFrame:
        """The exposures that traffic was on: the report is about traffic."""
        return carried(self.run.failovers, self.run.series)

    @property
    def idle(self) -> int:
        """How many exposures there are of pairs that sent nothing."""
        return len(self.run.failovers) - len(self.exposed)

    @cached_property
    def occurrences(self) -> tuple[Occurrence, ...]:
        """All happenings of faults in order of time."""
        frame = self.run.faults.sort_values(["start_ns", "fault"], kind="stable")
        exposures = self.exposed[[*_TOLD, "fault"]]
        by_fault = dict(iter(exposures.groupby("fault", sort=False, observed=True)))
        nothing = exposures.iloc[:0]
        repeated = frame["fault"].map(family).value_counts()
        return tuple(
            Occurrence(
                name=name,
                title=name if repeated[family(name)] > 1 else family(name),
                kind=kind,
                label=label,
                start_ns=int(start),
                end_ns=int(end),
                exposures=by_fault.get(name, nothing),
            )
            for name, kind, label, start, end in zip(
                *(frame[c] for c in ("fault", "kind", "label", "start_ns", "end_ns")), strict=True
            )
        )

    def worst(self, most: int) -> list[Occurrence]:
        """Return at most so many occurrences, those that hurt most, in order of time."""
        ranked = sorted(self.occurrences, key=lambda o: o.harm, reverse=True)[:most]
        return sorted(ranked, key=lambda o: (o.start_ns, o.name))

    def alone_until(self, occurrence: Occurrence) -> int:
        """Return until when what is seen can be laid at this fault's door: the next one's start."""
        _, end = occurrence.window(self.end_ns)
        later = [o.start_ns for o in self.occurrences if o.start_ns > occurrence.start_ns]
        return min([end, *later])

    def disturbed(self, watched: Watched, occurrence: Occurrence) -> list[int]:
        """Return the numbers of the tunnels that a fault disturbed, the worst first."""
        start, _ = occurrence.window(self.end_ns)
        before = watched.rows(start, occurrence.start_ns)
        during = watched.rows(occurrence.start_ns, self.alone_until(occurrence))
        return watched.disturbed(before, during, self.noticed(occurrence))

    def noticed(self, occurrence: Occurrence) -> list[Tunnel]:
        """Return the tunnels that noticed a fault."""
        rows = self.run.detections[self.run.detections["fault"] == occurrence.name]
        names = rows[["site", "peer", "transport"]].drop_duplicates()
        return [(str(s), str(p), str(t)) for s, p, t in names.itertuples(index=False)]

    @cached_property
    def windows(self) -> tuple[tuple[int, int], ...]:
        """The times in which at least one fault was there, joined where they overlap."""
        joined: list[tuple[int, int]] = []
        for o in self.occurrences:
            start, end = o.start_ns, min(o.end_ns, self.end_ns)
            if joined and start <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(joined[-1][1], end))
            else:
                joined.append((start, end))
        return tuple(joined)

    @cached_property
    def detection(self) -> Quantiles:
        """Fault to notice, over all exposures."""
        return Quantiles.of(self.exposed["detection_ns"])

    @cached_property
    def switch(self) -> Quantiles:
        """Fault to the first packet that would be sent on a working path."""
        return Quantiles.of(self.exposed["switch_ns"])

    @cached_property
    def failover(self) -> Quantiles:
        """Fault to the engine's acknowledged choice of a working path."""
        return Quantiles.of(self.exposed["failover_ns"])

    @cached_property
    def outage(self) -> Quantiles:
        """Time in which less than half of the packets arrived."""
        return Quantiles.of(self.exposed["outage_ns"])

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the traffic classes that were measured, in order of first appearance."""
        names = [*self.run.series["class"].unique(), *self.exposed["class"].unique()]
        return tuple(dict.fromkeys(str(name) for name in names))

    @cached_property
    def packets(self) -> pd.DataFrame:
        """Sums of ``offered`` and ``lost`` by class."""
        sums = self.run.series.groupby("class", sort=False, observed=True)[
            ["offered", "lost"]
        ].sum()
        return sums.reindex(list(self.classes), fill_value=0).astype(np.int64)

    def lost(self, traffic_class: str) -> tuple[int, int]:
        """Return the lost and the offered packets of a class."""
        row = self.packets.loc[[traffic_class]]
        return int(row["lost"].sum()), int(row["offered"].sum())

    def loss_by_second(self) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Give (class, times in ns, share lost from 0 to 1) for every measured class."""
        keys = ["class", "t_ns"]
        sums = self.run.series.groupby(keys, sort=True, observed=True)[["offered", "lost"]].sum()
        for name in self.classes:
            if name not in sums.index.get_level_values(0):
                continue
            rows = sums.loc[name]
            offered = rows["offered"].to_numpy(dtype=np.float64)
            lost = rows["lost"].to_numpy(dtype=np.float64)
            share = np.divide(lost, offered, out=np.zeros_like(lost), where=offered > 0)
            yield name, rows.index.to_numpy(dtype=np.int64), share


def family(occurrence: str) -> str:
    """Return the fault's name of an occurrence ``fault#ordinal``."""
    return occurrence.rpartition("#")[0] or occurrence

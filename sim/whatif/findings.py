"""All results of one study: ranked, judged, counted, and as JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from patronus.engine.units import MS, NEVER, SECOND
from patronus.sim.api import INVALID, UNJUDGED
from patronus.sim.whatif.failures import Failure, FailureKind
from patronus.sim.whatif.outcome import Died, Outcome, Result, rank

ALL_CLASSES = ""
"""The key of a limit that holds for every class without one of its own."""

Limits = Mapping[str, int]
"""How long a flow of a class may be out, in ns."""


@dataclass(frozen=True)
class About:
    """What was studied, and how."""

    name: str
    about: str
    path: str
    seed: int
    command: str
    """Makes the same study again."""
    watched_ns: int
    full: bool
    sites: int
    tunnels: int
    flows: int
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Findings:
    """What came of a study."""

    about: About
    failures: Sequence[Failure]
    """All that were to be simulated."""
    results: Sequence[Result]
    """In any order; fewer than failures where the study was stopped."""
    limits: Limits
    interrupted: bool = False
    wall_s: float = 0.0
    ready_s: float = 0.0
    """Of it, until the first failure began."""
    peak_mb: int = 0
    """Of the process that held the overlay."""

    @cached_property
    def by_id(self) -> dict[str, Failure]:
        """The failures by their ids."""
        return {f.id: f for f in self.failures}

    @cached_property
    def ranked(self) -> list[Result]:
        """Results, those that hurt most first; those that died stand before all."""
        return rank(self.results)

    @cached_property
    def outcomes(self) -> list[Outcome]:
        """The results of those that came to their end, those that hurt most first."""
        return [r for r in self.ranked if isinstance(r, Outcome)]

    @cached_property
    def harmful(self) -> list[Outcome]:
        """The outcomes in which some flow was out, those that hurt most first."""
        return [o for o in self.outcomes if not o.harmless]

    @cached_property
    def telling(self) -> list[Outcome]:
        """Those, and the outcomes that break an expectation all the same."""
        return [o for o in self.outcomes if not o.harmless or self.broken(o)]

    @cached_property
    def died(self) -> list[Died]:
        """The failures whose simulation did not come to its end."""
        return [r for r in self.ranked if isinstance(r, Died)]

    # ------------------------------------------------------------ verdicts

    def broken(self, outcome: Outcome) -> list[str]:
        """Return what a failure breaks of the limits and expectations, in words."""
        found = []
        for name, harm in outcome.classes.items():
            limit_ns = self.limits.get(name, self.limits.get(ALL_CLASSES))
            if limit_ns is None:
                continue
            if harm.still:
                found.append(f"{harm.still} {name} flows are still out")
            elif harm.longest_s * SECOND > limit_ns:
                found.append(f"{name} is out for {harm.longest_s} s")
        return found + [f"{j.text}: {j.measured}" for j in outcome.judged if j.verdict == "fail"]

    def verdict_of(self, result: Result) -> str:
        """Return ``pass``, ``fail``, ``invalid`` where it died, ``none`` where nothing judges."""
        if isinstance(result, Died):
            return INVALID
        if self.broken(result):
            return "fail"
        return "pass" if self.limits or result.judged else UNJUDGED

    @cached_property
    def verdict(self) -> str:
        """The verdict over all failures."""
        verdicts = {self.verdict_of(r) for r in self.results}
        if self.interrupted:
            return INVALID
        return next((v for v in (INVALID, "fail", "pass") if v in verdicts), UNJUDGED)

    # ------------------------------------------------------------ counts and JSON

    def count(self, kind: FailureKind | None = None) -> dict[str, int]:
        """Return how many failures (of one kind) there are, and how they ended."""
        mine = [f.id for f in self.failures if kind in (None, f.kind)]
        wanted = set(mine)
        outcomes = [o for o in self.outcomes if o.id in wanted]
        died = sum(d.id in wanted for d in self.died)
        return {
            "failures": len(mine),
            "harmless": sum(o.harmless for o in outcomes),
            "for_a_time": sum(not o.harmless and not o.still for o in outcomes),
            "still": sum(bool(o.still) for o in outcomes),
            "died": died,
            "not_simulated": len(mine) - len(outcomes) - died,
        }

    @cached_property
    def kinds(self) -> list[FailureKind]:
        """The kinds that occur, in their order."""
        return [kind for kind in FailureKind if any(f.kind is kind for f in self.failures)]

    def sites(self) -> list[tuple[str, int, int, str]]:
        """Return (site, failures that put it out, seconds out at worst, by which), worst first."""
        found: dict[str, tuple[int, int, str]] = {}
        for outcome in self.harmful:
            for site, seconds in outcome.sites.items():
                number, worst, cause = found.get(site, (0, 0, ""))
                more = (seconds, outcome.id) if seconds > worst else (worst, cause)
                found[site] = (number + 1, *more)
        rows = [(site, *told) for site, told in found.items()]
        return sorted(rows, key=lambda row: (-row[2], -row[1], row[0]))

    def record(self) -> dict[str, Any]:
        """Return what ``whatif.json`` holds."""
        about = asdict(self.about)
        return {
            "whatif": 1,
            **{key: value for key, value in about.items() if not key.endswith("_ns")},
            "watched_s": self.about.watched_ns / SECOND,
            "limits_s": {name or "all": ns / SECOND for name, ns in self.limits.items()},
            "verdict": self.verdict,
            "interrupted": self.interrupted,
            "counts": {"all": self.count(), **{str(k): self.count(k) for k in self.kinds}},
            "failures": [self._entry(place, r) for place, r in enumerate(self.ranked, start=1)],
            "not_simulated": [
                f.id for f in self.failures if f.id not in {r.id for r in self.results}
            ],
            "wall_s": round(self.wall_s, 3),
            "ready_s": round(self.ready_s, 3),
            "peak_rss_mb": self.peak_mb,
        }

    def _entry(self, place: int, result: Result) -> dict[str, Any]:
        failure = self.by_id[result.id]
        head: dict[str, Any] = {
            "rank": place,
            "id": result.id,
            "kind": str(failure.kind),
            "label": failure.label,
            "verdict": self.verdict_of(result),
        }
        if isinstance(result, Died):
            return {**head, "died": result.why}
        return {
            **head,
            "broken": self.broken(result),
            "watched_s": result.until_ns / SECOND,
            "settled": result.settled,
            "classes": {name: asdict(harm) for name, harm in result.classes.items()},
            "sites": dict(result.sites),
            "exposures": result.carried,
            "switch_max_ms": _ms(result.switch_ns),
            "failover_max_ms": _ms(result.failover_ns),
            "never": result.switch_ns == NEVER,
            "unavoidable": result.unavoidable,
            "checks": dict(result.checks),
            "verified": list(result.verified),
            "expectations": [asdict(judged) for judged in result.judged],
            "wall_s": round(result.wall_s, 3),
        }


def _ms(time_ns: int) -> float | None:
    """Return a duration for JSON: None if there is none, or if it never ended."""
    return None if time_ns < 0 or time_ns == NEVER else time_ns / MS

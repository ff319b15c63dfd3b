"""Why this path? Which decision is in force, and what else there was to choose from.

The journal tells what was decided and by which numbers. What was *not* chosen is not
in it, so the run is made again up to that time, which gives the same world to the bit, and
its engine is asked. Where the run cannot be made again (the scenario's file is gone
or has changed) the journal's part stands alone and the answer says so.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from patronus.engine.journal import Decision, read
from patronus.engine.units import SECOND
from patronus.sim.language import ScenarioError, load
from patronus.sim.language.mistakes import did_you_mean, one_of
from patronus.sim.run import Run

if TYPE_CHECKING:
    from patronus.sim.alternatives import Alternatives


@dataclass(frozen=True, slots=True)
class Question:
    """Whose path is meant, and when."""

    site: str
    destination: str
    traffic_class: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class History:
    """What the journal says of one entry."""

    before: tuple[Decision, ...]
    """Decisions until then, the one in force last; at most three."""
    after: Decision | None
    """The next one."""
    earlier: int
    """Decisions before those."""

    @property
    def in_force(self) -> Decision | None:
        """The decision that put the traffic where it is; None: it has not moved since 0 s."""
        return self.before[-1] if self.before else None


class WhyError(ValueError):
    """A question that this run cannot answer; the message says what there is instead."""


class Unrepeatable(Exception):
    """The run cannot be made again; the message says why."""


_KEPT: Final = 3


def history(run: Run, question: Question) -> History:
    """Return what the journal says."""
    meant = (question.site, question.destination, question.traffic_class)
    mine = [d for d in read(run.journal) if (d.site, d.destination, d.traffic_class) == meant]
    before = [d for d in mine if d.t_ns <= question.at_ns]
    after = mine[len(before)] if len(before) < len(mine) else None
    return History(tuple(before[-_KEPT:]), after, max(0, len(before) - _KEPT))


def questions(
    run: Run, site: str, destination: str, traffic_class: str | None, at_ns: int | None
) -> list[Question]:
    """Return the questions that are meant, one for each class if none is named.

    Raises:
        WhyError: a name that the run does not know, or a time outside of it.
    """
    sites = [str(s["name"]) for s in run.topology["sites"]]
    known = {*sites, *_named(run, "destination")}
    classes = sorted({*_named(run, "class"), *run.summary.get("classes", ())})
    _check("site", site, sites)
    _check("destination", destination, sorted(known))
    if traffic_class is not None:
        _check("class", traffic_class, classes)
    if site == destination:
        raise WhyError(f"traffic from {site} to itself takes no path")
    end_ns = round((run.summary["simulated_s"] - run.summary["warmup_s"]) * SECOND)
    if at_ns is not None and at_ns > end_ns:
        raise WhyError(f"the run ended at {end_ns / SECOND:g} s")
    at = end_ns if at_ns is None else at_ns
    wanted = classes if traffic_class is None else [traffic_class]
    return [Question(site, destination, name, at) for name in wanted]


def _named(run: Run, column: str) -> set[str]:
    frames = [f for f in (run.decisions, run.failovers, run.series) if len(f)]
    return {str(name) for frame in frames for name in frame[column].unique()}


def _check(noun: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        near = did_you_mean(name, known)
        raise WhyError(
            f"the run has no {noun} {name!r}; {near or 'there are ' + one_of(known, 12)}"
        )


def repeat(run: Run, at_ns: int, progress: Callable[[int], None] | None = None) -> "Alternatives":
    """Make a run again up to a time, and return what its engine has to say then.

    Raises:
        Unrepeatable: the scenario's file is gone or changed, or the program was.
        KeyboardInterrupt: somebody lost patience.
    """
    from patronus.sim.alternatives import Alternatives
    from patronus.sim.api import make_world

    if not run.summary.get("path"):
        raise Unrepeatable("the scenario was built in code")
    try:
        scenario = load(run.summary["path"], run.summary.get("settings", ()))
        scenario = replace(scenario, duration_ns=max(1, at_ns))
        lines: list[bytes] = []
        world = make_world(scenario, run.seed, lines.append)
    except ScenarioError as error:
        raise Unrepeatable(f"the scenario cannot be read as it was: {error.mistakes[0]}") from error
    if world.run(progress=progress).interrupted:
        raise KeyboardInterrupt
    made = [d for d in read(lines) if d.t_ns <= at_ns]
    told = [d for d in read(run.journal) if d.t_ns <= at_ns]
    if made != told:
        raise Unrepeatable("made again the run decides otherwise: the scenario has changed since")
    return Alternatives(world)

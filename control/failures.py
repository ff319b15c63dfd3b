"""A what-if study for the command line: made, kept, and shown."""

import json
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Final, Self

import click

from patronus.control.endings import BY_VERDICT, INVALID, Failure, reproduce
from patronus.control.outcome import duration
from patronus.control.progress import Progress
from patronus.control.results import Reserved, file_name
from patronus.control.tables import counted, indented, stamp, table
from patronus.engine.units import MS, NEVER
from patronus.sim.crew import CrewError
from patronus.sim.folder import check_free
from patronus.sim.scenario import Scenario
from patronus.sim.whatif import folder as folders
from patronus.sim.whatif.findings import About, Findings, Limits
from patronus.sim.whatif.nursery import Finished, NotConverged, Plan, Warming
from patronus.sim.whatif.orders import T0_NS, Orders
from patronus.sim.whatif.outcome import ClassHarm, Died, Outcome, Result
from patronus.sim.whatif.study import Study

_PLACES: Final = 2
"""Flows of a class that a line of the table names."""


class Place:
    """Where the results go; chosen before anything is simulated."""

    def __init__(self, scenario: Scenario, out: Path | None) -> None:
        """Choose.

        Raises:
            FolderError: the folder is in use or cannot be written.
        """
        self._reserved = Reserved()
        name = f"{file_name(scenario.name)}-whatif"
        self.folder = self._reserved.folder(name) if out is None else out
        check_free(self.folder)

    def keep(self, findings: Findings) -> None:
        """Write the findings.

        Raises:
            FolderError: they cannot be written.
        """
        folders.write(findings, self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reserved.free()


def study(
    scenario: Scenario, orders: Orders, limits: Limits, again: str
) -> tuple[Findings, BaseException | None]:
    """Return what came of a study, and what kept it from being finished.

    Raises:
        Failure: the overlay does not converge in its warm-up.
        KeyboardInterrupt: before there was anything to keep.
    """
    began = perf_counter()
    plan, usage, stopped = Plan((), 0, 0, 0, (), 0.0), Finished(0, 0), None
    results: list[Result] = []
    with Progress("preparing") as progress:
        try:
            with Study(orders) as asked:
                for message in asked.messages():
                    match message:
                        case Warming():
                            progress.at("warming up", 0.0)
                        case Plan():
                            plan = message
                        case Outcome() | Died():
                            results.append(message)
                            done = f"{len(results):,} of {len(plan.failures):,} failures"
                            progress.at(done, len(results) / len(plan.failures))
                        case Finished():
                            usage = message
        except NotConverged as error:
            why = "the overlay had not converged at the start; a longer `warmup` may help"
            raise Failure(why, BY_VERDICT["fail"]) from error
        except (KeyboardInterrupt, CrewError) as error:
            if not plan.failures:
                raise
            stopped = error
    about = About(
        name=scenario.name,
        about=scenario.about,
        path=scenario.path,
        seed=orders.seed,
        command=again,
        watched_ns=orders.scenario.duration_ns - T0_NS,
        full=orders.full,
        sites=plan.sites,
        tunnels=plan.tunnels,
        flows=plan.flows,
        classes=plan.classes,
    )
    findings = Findings(
        about,
        plan.failures,
        results,
        limits,
        interrupted=stopped is not None,
        wall_s=perf_counter() - began,
        ready_s=plan.ready_s,
        peak_mb=usage.peak_mb,
    )
    return findings, stopped


# ---------------------------------------------------------------- what is printed


def show(findings: Findings, folder: Path | None, *, top: int, as_json: bool) -> int:
    """Print what came of a study; return the exit code."""
    if as_json:
        whole = {**findings.record(), "folder": str(folder or "")}
        click.echo(json.dumps(whole, sort_keys=True, allow_nan=False))
    else:
        click.echo("\n".join(lines(findings, folder, top)))
    code = BY_VERDICT[findings.verdict]
    if findings.died and not findings.interrupted:
        code = INVALID
    if code:
        reproduce(findings.about.command)
    return code


def lines(findings: Findings, folder: Path | None, top: int) -> list[str]:
    """Return a study as text: the worst failures, the kinds, and the conclusion."""
    about = findings.about
    size = (
        counted(about.sites, "site"), counted(about.tunnels, "tunnel"),
        counted(about.flows, "flow"), counted(len(findings.failures), "failure"),
        f"seed {about.seed}", f"{findings.wall_s:.1f} s",
    )  # fmt: skip
    told = [f"{about.name}: {', '.join(size)}"]
    shown = findings.telling[:top]
    if shown:
        head = ("", "failure", "class", "flows out", "still", "longest", "switch", "where")
        rows = [head, *(row for n, o in enumerate(shown, 1) for row in _rows(findings, n, o))]
        told += ["", *indented(table(rows, right=(0, 3, 4, 5, 6)))]
    if len(findings.telling) > len(shown):
        rest = f"{len(findings.telling) - len(shown):,}"
        told += indented([f"({rest} more that harm less; --top N shows more)"])
    told += ["", *indented(_kinds(findings))]
    told += (
        ["", *indented(f"died: {d.id}: {d.why}" for d in findings.died)] if findings.died else []
    )
    told += ["", f"  report  {folder / 'report.html'}"] if folder is not None else []
    return [*told, "", f"{stamp(findings.verdict)}: {_conclusion(findings)}"]


def _rows(findings: Findings, place: int, outcome: Outcome) -> Iterator[tuple[str, ...]]:
    head = str(place), outcome.id
    switch = _time(outcome.switch_ns)
    for name, harm in outcome.classes.items():
        if harm.out:
            where = ", ".join(f"{p.site} > {p.destination}" for p in harm.places[:_PLACES])
            more = f" and {harm.out - _PLACES:,} more" if harm.out > _PLACES else ""
            flows = f"{harm.out:,} of {harm.flows:,}"
            still = f"{harm.still:,}" if harm.still else "-"
            yield (*head, name, flows, still, _longest(harm), switch, where + more)
            head, switch = ("", ""), ""
    if outcome.harmless:
        yield (*head, "-", "-", "-", "-", switch, "")
    for broken in findings.broken(outcome):
        yield *[""] * 7, f"{stamp('fail')} {broken}"


def _longest(harm: ClassHarm) -> str:
    return f"{'>' if harm.still else ''}{harm.longest_s} s"


def _time(time_ns: int) -> str:
    if time_ns == NEVER:
        return "never"
    return "-" if time_ns < 0 else duration(time_ns / MS)


def _kinds(findings: Findings) -> list[str]:
    heads = {
        "failures": "failures", "harmless": "harmless", "for_a_time": "out for a time",
        "still": "still out", "died": "died", "not_simulated": "not simulated",
    }  # fmt: skip
    counts = [(str(kind), findings.count(kind)) for kind in findings.kinds]
    counts += [("all", findings.count())] if len(counts) > 1 else []
    kept = [key for key in heads if key in ("failures", "harmless") or counts[-1][1][key]]
    rows = [("kind", *(heads[key] for key in kept))]
    rows += [(name, *(f"{count[key]:,}" for key in kept)) for name, count in counts]
    return table(rows, right=range(1, len(kept) + 1))


def _conclusion(findings: Findings) -> str:
    failed = sum(findings.verdict_of(r) == "fail" for r in findings.results)
    if findings.interrupted:
        return "interrupted, so nothing is concluded"
    if findings.died:
        return f"{counted(len(findings.died), 'failure')} could not be simulated"
    match findings.verdict:
        case "fail":
            number = counted(failed, "failure")
            return f"{number} of {len(findings.results):,} break what is allowed"
        case "pass":
            return "every failure keeps within what is allowed"
    return "no --limit and no expectations, so nothing was judged"

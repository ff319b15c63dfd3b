"""``patronus why``: which decision is in force, by which numbers, and what else there was."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from patronus.control import options

if TYPE_CHECKING:
    from patronus.engine.journal import Decision
    from patronus.sim.alternatives import Alternative, Alternatives
    from patronus.sim.run import Run
    from patronus.sim.why import History, Question


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--site", required=True, metavar="A", help="The site that sends.")
@click.option("--to", "destination", required=True, metavar="B", help="The destination.")
@click.option("--class", "traffic_class", metavar="NAME", help="One class (default: all).")
@click.option("--at", "at_ns", callback=options.moment, metavar="TIME",
              help="When, for instance 30.2s (default: at the end).")  # fmt: skip
@click.option("--journal-only", is_flag=True,
              help="Do not make the run again to list the alternatives.")  # fmt: skip
def command(
    folder: Path,
    *,
    site: str,
    destination: str,
    traffic_class: str | None,
    at_ns: int | None,
    journal_only: bool,
) -> int:
    """Explain a path: the decision in force, its numbers, and the alternatives.

    The decision comes from the run's journal. The alternatives are not in there, so
    the run is made again up to that time from its scenario file.
    """
    from patronus.control.endings import Failure
    from patronus.sim.folder import load_run
    from patronus.sim.why import WhyError, history, questions

    run = load_run(folder)
    try:
        asked = questions(run, site, destination, traffic_class, at_ns)
    except WhyError as error:
        raise Failure(str(error)) from error
    engine, excuse = (None, "") if journal_only else _made_again(run, asked[0].at_ns)
    for question in asked:
        click.echo("\n".join(_answer(question, history(run, question), engine, excuse)) + "\n")
    return 0


def _made_again(run: "Run", at_ns: int) -> "tuple[Alternatives | None, str]":
    from patronus.control.progress import Progress
    from patronus.sim.why import Unrepeatable, repeat

    with Progress("making the run again") as progress:

        def reached(now_ns: int) -> None:
            progress.at("making the run again", max(0, now_ns) / max(1, at_ns))

        try:
            return repeat(run, at_ns, reached), ""
        except Unrepeatable as error:
            return None, f"The alternatives cannot be told: {error}."


def _answer(
    question: "Question", told: "History", engine: "Alternatives | None", excuse: str
) -> list[str]:
    from patronus.control.narration import clock
    from patronus.control.tables import indented

    where = f"{question.site} to {question.destination}, {question.traffic_class}"
    lines = [f"{where} at {clock(question.at_ns)}", *indented(_decision(told))]
    if engine is not None:
        found = engine.of(question.site, question.destination, question.traffic_class)
        lines += ["", *indented(_alternatives(found))]
    elif excuse:
        lines += ["", f"  {excuse}"]
    return lines


def _decision(told: "History") -> list[str]:
    from patronus.control.narration import REASONS, clock, path

    now = told.in_force
    if now is None:
        start = f", which is {path(told.after.from_path)}" if told.after else ""
        lines = [f"No decision has been made: it is still on its path of the start{start}."]
    else:
        since = f"{path(now.to_path)} since {clock(now.t_ns)}"
        lines = [f"{since}, before {path(now.from_path)}", f"because {REASONS[now.reason]}:"]
        lines += _numbers(now)
    earlier = [f"before: {_short(d)}" for d in reversed(told.before[:-1])]
    if told.earlier:
        earlier.append(f"and {told.earlier} decisions earlier")
    return lines + earlier + ([f"next:   {_short(told.after)}"] if told.after else [])


def _short(decision: "Decision") -> str:
    from patronus.control.narration import clock, path

    move = f"{path(decision.from_path)} -> {path(decision.to_path)}"
    return f"{clock(decision.t_ns)}  {move} ({decision.reason})"


def _numbers(decision: "Decision") -> list[str]:
    """Return the numbers in three columns: of the old path, of the new one, and thresholds."""
    from patronus.control.narration import number
    from patronus.control.tables import indented, table

    numbers = dict(decision.numbers)
    sides = ("from", "to")
    names = sorted({n.partition("_")[2] for n in numbers if n.partition("_")[0] in sides})
    rows: list[tuple[str, ...]] = [("", "old path", "new path")] if names else []
    for name in names:
        keys = [f"{side}_{name}" for side in sides]
        cells = [number(k, numbers[k]) if k in numbers else "-" for k in keys]
        rows.append((_bare(name), *cells))
    rest = [n for n in numbers if n.partition("_")[0] not in sides]
    rows += [(_bare(name), number(name, numbers[name]), "") for name in rest]
    return indented(table(rows, right=(1, 2)))


def _bare(name: str) -> str:
    """Return a number's name without the unit at its end."""
    words = name.split("_")
    return " ".join(words[:-1] if words[-1] in ("ns", "ppm", "milli") else words)


def _alternatives(found: "list[Alternative]") -> list[str]:
    from patronus.control.narration import number, path
    from patronus.control.tables import table

    if not found:
        return ["There is no path between them at all."]
    rows: list[tuple[str, ...]] = [("path", "", "tunnel", "verdict", "rtt", "jitter", "loss", "")]
    for a in found:
        figures = {"rtt_ns": a.rtt_ns, "jitter_ns": a.jitter_ns, "loss_ppm": a.loss_ppm}
        shown = [number(name, value) for name, value in figures.items()]
        verdict = a.verdict if a.state == "up" else "-"
        rows.append((path(a.path), _role(a), a.state, verdict, *shown, a.why))
    return table(rows, right=(4, 5, 6))


def _role(alternative: "Alternative") -> str:
    if alternative.chosen:
        return "chosen" if alternative.used else "chosen, not in use"
    if alternative.used:
        return "in use by the kernel"
    return f"backup {alternative.backup}" if alternative.backup else ""

"""``patronus whatif``: every single failure of an overlay, and what it does to traffic."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from patronus.control import options

if TYPE_CHECKING:
    from patronus.sim.scenario import Scenario
    from patronus.sim.whatif.findings import Limits
    from patronus.sim.whatif.orders import Orders

_KINDS: Final = ("link", "transport", "provider-link", "provider", "group", "site")

_MOST_PAIRS: Final = 1_000_000


@click.command()
@click.argument("file", metavar="FILE", callback=lambda _ctx, _param, v: options.scenario_file(v))
@options.seed
@click.option("--only", type=click.Choice(_KINDS), multiple=True,
              help="Only failures of this kind. Repeatable.")  # fmt: skip
@click.option("--pairs", type=click.IntRange(1, _MOST_PAIRS), default=None, metavar="N",
              help="Besides N pairs of failures, chosen by luck.")  # fmt: skip
@click.option("--pairs-seed", type=click.IntRange(0, options.SEED_MOST), default=1, metavar="N",
              help="Seed of that luck.", show_default=True)  # fmt: skip
@click.option("--duration", "watched_ns", callback=options.duration, default="10s", metavar="TIME",
              show_default=True, help="Watch each failure for so long at most.")  # fmt: skip
@click.option("--full", is_flag=True, help="Watch for so long even when all is at rest.")
@click.option("--limit", "limits", multiple=True, metavar="[CLASS=]TIME",
              help="A flow may be out of its SLA for so long at most. Repeatable.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(1), metavar="N",
              help="Failures at a time (default: the processors).")  # fmt: skip
@click.option("--top", type=click.IntRange(0), default=20, show_default=True, metavar="N",
              help="Print the N worst failures.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="New folder for the results (default: runs/NAME-whatif-1, -2 …).")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print whatif.json as one line.")
@click.option("--write", type=(str, click.Path(path_type=Path)), metavar="ID FILE",
              help="Write a failure as a scenario file, and simulate nothing.")  # fmt: skip
@options.settings
def command(file: str, *, settings: Sequence[str], **asked: Any) -> int:
    """Fail every link, attachment, provider link, group and site of a scenario, one by one.

    Each failure is simulated from the same converged overlay, under the scenario's policy
    and traffic; the scenario's own faults are left out.

    The exit code is 0 if every failure keeps within --limit and the expectations, 1 if one
    does not, 2 for bad input, 4 if a failure could not be simulated.
    """
    from patronus.control.scenarios import load_all

    (scenario,) = load_all([file], settings)
    try:
        return _whatif(scenario, tuple(settings), asked)
    except ValueError as error:
        raise _foreseen(error) from error


def _foreseen(error: ValueError) -> Exception:
    from patronus.control.endings import Failure
    from patronus.sim.whatif.orders import WhatIfError

    return Failure(str(error)) if isinstance(error, WhatIfError) else error


def _whatif(scenario: "Scenario", settings: tuple[str, ...], asked: dict[str, Any]) -> int:
    from patronus.control.failures import Place, show, study
    from patronus.sim.footprint import free
    from patronus.sim.whatif import memory
    from patronus.sim.whatif.failures import SINGLE, FailureKind
    from patronus.sim.whatif.orders import Orders, prepare

    studied, expectations = prepare(scenario, asked["watched_ns"])
    limits = _limits(asked["limits"], scenario)
    orders = Orders(
        scenario=studied,
        seed=scenario.seed if asked["seed"] is None else asked["seed"],
        only=tuple(FailureKind(kind) for kind in asked["only"]) or SINGLE,
        pairs=asked["pairs"] or 0,
        pairs_seed=asked["pairs_seed"],
        jobs=asked["jobs"] or _processors(),
        full=asked["full"],
        expectations=expectations,
    )
    again = _command(scenario, settings, asked)
    if asked["write"] is not None:
        return _write(scenario, orders, settings, *asked["write"])
    memory.check(studied, orders.jobs, free())
    with Place(scenario, asked["out"]) as place:
        findings, stopped = study(scenario, orders, limits, again)
        try:
            place.keep(findings)
        finally:
            code = show(findings, place.folder, top=asked["top"], as_json=asked["as_json"])
    if stopped is not None and not isinstance(stopped, KeyboardInterrupt):
        raise stopped
    return code


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def _limits(words: Sequence[str], scenario: "Scenario") -> "Limits":
    """Return the limits by class.

    Raises:
        BadParameter: no duration, or no class of the scenario.
    """
    from patronus.sim.language.quantities import DURATION
    from patronus.sim.language.values import Unfit
    from patronus.sim.whatif.findings import ALL_CLASSES

    classes = [c.name for c in scenario.policy.classes]
    found: dict[str, int] = {}
    for word in words:
        name, _, time = word.rpartition("=")
        if name and name not in classes:
            known = ", ".join(classes)
            raise click.BadParameter(f"there is no class {name!r} ({known})", param_hint="--limit")
        try:
            found[name or ALL_CLASSES] = int(DURATION.convert(time))
        except Unfit as unfit:
            message = f"{unfit}: expected [CLASS=]{DURATION.about}"
            raise click.BadParameter(message, param_hint="--limit") from unfit
    return found


def _command(scenario: "Scenario", settings: Sequence[str], asked: dict[str, Any]) -> str:
    """Return the command that makes the same study again."""
    from patronus.sim.language.quantities import shown

    words = ["whatif", scenario.path]
    words += ["--seed", str(scenario.seed if asked["seed"] is None else asked["seed"])]
    words += [word for kind in asked["only"] for word in ("--only", kind)]
    if asked["pairs"]:
        words += ["--pairs", str(asked["pairs"]), "--pairs-seed", str(asked["pairs_seed"])]
    words += ["--duration", shown(asked["watched_ns"])]
    words += ["--full"] if asked["full"] else []
    words += [word for limit in asked["limits"] for word in ("--limit", limit)]
    words += [word for setting in settings for word in ("--set", setting)]
    return options.again(*words)


def _write(
    scenario: "Scenario", orders: "Orders", settings: Sequence[str], name: str, path: Path
) -> int:
    """Write one failure as a scenario file.

    Raises:
        Failure: the file is there, or cannot be written.
        WhatIfError: there is no such failure.
    """
    from patronus.control.endings import PASS, Failure
    from patronus.control.results import replace_file
    from patronus.sim.api import plan
    from patronus.sim.whatif.orders import find
    from patronus.sim.whatif.writing import document

    network, _ = plan(orders.scenario, orders.scenario.seed)
    (failure,) = find([name], scenario, network)
    if path.exists():
        raise Failure(f"{path} exists already; choose another name")
    replace_file(path, document(failure, scenario, orders.scenario, path).encode())
    words = ["run", str(path), "--seed", str(orders.seed)]
    words += [word for setting in settings for word in ("--set", setting)]
    click.echo(f"{path}: {failure.label} fails\nrun it: {options.again(*words)}")
    return PASS

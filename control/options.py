"""Arguments and options that several commands share."""

import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from patronus.sim.language.values import Value

SEED_MOST: Final = 2**63 - 1

SUFFIX: Final = ".patronus.yml"


def _scenario_files(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    """Put the file of a shipped scenario where its name stands for no other file."""
    return tuple(scenario_file(name) for name in value)


def scenario_file(name: str) -> str:
    """Return a file, or that of the shipped scenario of this name where there is no such file."""
    if os.sep in name or Path(name).exists():
        return name
    shipped = scenario_folder() / f"{name.removesuffix(SUFFIX)}{SUFFIX}"
    return str(shipped) if shipped.is_file() else name


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Return a duration above zero, in the words of scenario files, in ns."""
    from patronus.sim.language.quantities import PERIOD

    return None if value is None else _quantity(value, PERIOD, ctx, param)


def moment(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Return a time of the scenario in ns, zero included."""
    from patronus.sim.language.quantities import DURATION

    return None if value is None else _quantity(value, DURATION, ctx, param)


def _quantity(value: str, shape: "Value", ctx: click.Context, param: click.Parameter) -> int:
    from patronus.sim.language.values import Unfit

    try:
        return int(shape.convert(value))
    except Unfit as unfit:
        advice = f"; {unfit.suggestion}" if unfit.suggestion else ""
        message = f"{unfit}: expected {shape.about}{advice}"
        raise click.BadParameter(message, ctx, param) from unfit


def scenario_folder() -> Path:
    """Return where the shipped scenarios lie."""
    return Path(__file__).resolve().parent.parent / "scenarios"


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

files: Final[Decorator] = click.argument(
    "files", metavar="FILE…", nargs=-1, required=True, callback=_scenario_files
)

settings: Final[Decorator] = click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE",
    help="Change the scenario: --set duration=30s, --set faults.0.at=5s. Repeatable.",
)  # fmt: skip

seed: Final[Decorator] = click.option(
    "--seed", type=click.IntRange(0, SEED_MOST), help="Seed of all luck (default: the scenario's)."
)


def worth(jobs: int | None, total: int) -> int:
    """Return how many runs are worth doing at a time: a worker needs a second to start."""
    if jobs is not None:
        return min(jobs, total)
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return max(1, min(here, total // 2))


def again(*words: str) -> str:
    """Return a command line of ours, quoted for a shell."""
    return shlex.join(["patronus", *words])

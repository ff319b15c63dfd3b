"""``patronus check``: everything about a scenario that can be known without running it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from patronus.control import options

if TYPE_CHECKING:
    from patronus.sim.scenario import Scenario
    from patronus.sim.timeline import Timeline
    from patronus.sim.topology import Network


@click.command()
@options.files
@options.seed
@options.settings
def command(files: Sequence[str], seed: int | None, settings: Sequence[str]) -> int:
    """Check scenarios and print what they would do, without running them.

    Prints the network's size, each fault with its times and with what its selector
    matches, and warns of faults that cannot be seen before the end.
    """
    from patronus.control.scenarios import load_all, plan_all

    scenarios = load_all(files, settings)
    for scenario, (network, timeline) in zip(scenarios, plan_all(scenarios, seed), strict=True):
        lines = _lines(scenario, network, timeline, scenario.seed if seed is None else seed)
        click.echo("\n".join(lines) + "\n")
    click.echo(
        "Nothing is wrong with it." if len(scenarios) == 1 else "Nothing is wrong with them."
    )
    return 0


def _lines(scenario: "Scenario", network: "Network", timeline: "Timeline", seed: int) -> list[str]:
    from patronus.control.tables import indented
    from patronus.sim.faults.describe import describe

    told = describe(timeline, network)
    warnings = len(timeline.warnings)
    faults, warned = told[: len(told) - warnings], told[len(told) - warnings :]
    lines = [f"{scenario.name} ({scenario.path})"]
    lines += indented(_sizes(scenario, network, seed))
    for title, part in (
        ("faults", faults),
        ("expectations", [line.text for line in scenario.expectations]),
    ):
        lines += indented([f"{title}:", *indented(part)] if part else [f"{title}: none"])
    return lines + indented(click.style(line, fg="yellow") for line in warned)


def _sizes(scenario: "Scenario", network: "Network", seed: int) -> list[str]:
    from patronus.control.tables import counted
    from patronus.sim.language.quantities import shown

    overlay = network.overlay
    size = [
        counted(len(overlay.sites), "site"),
        counted(overlay.rows, "directed tunnel"),
        f"over {', '.join(overlay.transports)}",
    ]
    times = f"{shown(scenario.duration_ns)} after {shown(scenario.warmup_ns)} of warm-up"
    return [", ".join(size), f"{times}, seed {seed}"]

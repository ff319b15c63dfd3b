"""Loading scenarios for the command line: all mistakes of all files in one message."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from patronus.sim.language import Mistake, ScenarioError, load

if TYPE_CHECKING:
    from patronus.sim.scenario import Scenario
    from patronus.sim.timeline import Timeline
    from patronus.sim.topology import Network


def load_all(files: Sequence[str], settings: Sequence[str] = ()) -> "list[Scenario]":
    """Return the scenarios of some files.

    Raises:
        ScenarioError: with every mistake of every file.
    """
    found: list[Scenario] = []
    mistakes: list[Mistake] = []
    for file in files:
        try:
            found.append(load(file, settings))
        except ScenarioError as error:
            mistakes += error.mistakes
    if mistakes:
        raise ScenarioError(mistakes)
    return found


def plan_all(
    scenarios: "Sequence[Scenario]", seed: int | None = None
) -> "list[tuple[Network, Timeline]]":
    """Return what each scenario would run on, and its compiled faults.

    Raises:
        ScenarioError: with what is wrong with each of them.
    """
    from patronus.sim.api import plan

    plans: list[tuple[Network, Timeline]] = []
    mistakes: list[Mistake] = []
    for scenario in scenarios:
        try:
            plans.append(plan(scenario, scenario.seed if seed is None else seed))
        except ScenarioError as error:
            mistakes += error.mistakes
    if mistakes:
        raise ScenarioError(mistakes)
    return plans

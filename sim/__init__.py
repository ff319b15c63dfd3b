"""Scenarios, the simulated world and its reports; the names below are the Python API.

    from patronus.sim import load, run

    done = run(load("cut.patronus.yml"), seed=7)
    done.failovers.switch_ns.max()

Each name is imported when it is asked for: the command line starts quickly because
pandas stays away until there is a table to make.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from patronus.sim.api import load, run, run_many
    from patronus.sim.comparison import compare
    from patronus.sim.expectation import Expectation
    from patronus.sim.experiment import experiment
    from patronus.sim.folder import FolderError, load_run, load_runs, write_run, write_runs
    from patronus.sim.judgement import Judgement, judge
    from patronus.sim.language import ScenarioError
    from patronus.sim.run import Run
    from patronus.sim.scenario import Scenario
    from patronus.sim.selection_policy import PathView, SelectionPolicy
    from patronus.sim.sweep.verb import sweep

__all__ = [
    "Expectation",
    "FolderError",
    "Judgement",
    "PathView",
    "Run",
    "Scenario",
    "ScenarioError",
    "SelectionPolicy",
    "compare",
    "experiment",
    "judge",
    "load",
    "load_run",
    "load_runs",
    "run",
    "run_many",
    "sweep",
    "write_run",
    "write_runs",
]

_HOMES = {
    "api": ("load", "run", "run_many"),
    "comparison": ("compare",),
    "expectation": ("Expectation",),
    "experiment": ("experiment",),
    "folder": ("FolderError", "load_run", "load_runs", "write_run", "write_runs"),
    "judgement": ("Judgement", "judge"),
    "language": ("ScenarioError",),
    "run": ("Run",),
    "scenario": ("Scenario",),
    "selection_policy": ("PathView", "SelectionPolicy"),
    "sweep.verb": ("sweep",),
}
"""The names of the API by the module that defines them."""

_HOME = {name: module for module, names in _HOMES.items() for name in names}


class _Package(ModuleType):
    """Finds the API's names on demand, and keeps them.

    Importing a module binds its name in its package, and two modules are called like
    verbs of the API (``run``, ``load``): here the verbs win.
    """

    def __getattr__(self, name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"{self.__name__}.{_HOME[name]}"), name)
        setattr(self, name, found)
        return found

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOME and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package

"""The scenario language: files in, scenarios or all their mistakes out.

::

    file ─► tree ─► documents (extends, policy, CSV) ─► settings (--set)
                        │
                        ▼
    grammar ─► records and mentions ─► consistency ─► build ─► Scenario

One declaration (``grammar`` and the files it gathers) both reads a tree and makes
the JSON Schema. Every key and value keeps its place until the end.
"""

from patronus.sim.language.grammar import schema
from patronus.sim.language.loading import load, parse
from patronus.sim.language.mistakes import Mistake, ScenarioError, describe

__all__ = ["Mistake", "ScenarioError", "describe", "load", "parse", "schema"]

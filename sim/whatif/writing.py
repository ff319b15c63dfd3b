"""A failure as an ordinary scenario file: the studied one, with one fault in place of its own."""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from patronus.sim.language.quantities import shown
from patronus.sim.scenario import FaultSpec, Scenario
from patronus.sim.whatif.failures import Failure
from patronus.sim.whatif.orders import judged_lines


def document(failure: Failure, scenario: Scenario, studied: Scenario, path: Path) -> str:
    """Return the text of a file that ``patronus run`` takes.

    It is laid over the studied scenario's file, so it says nothing but what differs.

    Args:
        failure: what is to happen.
        scenario: as it was loaded.
        studied: as :func:`prepare` made it.
        path: where the file will lie; the studied one is named as seen from there.
    """
    base = os.path.relpath(Path(scenario.path).absolute(), path.absolute().parent)
    lines = [
        f"# {failure.label} fails: {failure.kind} {failure.id}",
        "version: 1",
        f"extends: {_text(base)}",
        f"duration: {shown(studied.duration_ns)}",
        "faults:",
        *(f"  - {_flow(entry)}" for entry in map(_fault, failure.faults)),
    ]
    expected = judged_lines(scenario)
    lines += (
        ["expect:", *(f"  - {_text(line)}" for line in expected)] if expected else ["expect: []"]
    )
    return "\n".join(lines) + "\n"


def _fault(fault: FaultSpec) -> dict[str, Any]:
    return {
        "name": fault.name,
        "kind": str(fault.kind),
        "at": shown(fault.schedule.at_ns),
        "on": dict(_selected(fault)),
    }


def _selected(fault: FaultSpec) -> Iterator[tuple[str, Sequence[str]]]:
    where = fault.select
    for key, words in (
        ("site", where.sites), ("transport", where.transports), ("link", where.links),
        ("group", where.groups), ("provider", where.providers),
    ):  # fmt: skip
        if words:
            yield key, list(words)


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _text(str(value))


def _text(text: str) -> str:
    # A JSON string is a quoted scalar of YAML.
    return json.dumps(text, ensure_ascii=False)

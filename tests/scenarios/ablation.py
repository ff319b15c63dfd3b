"""Write the tables of ``docs/scenarios.md``: what each scenario teaches, and what it needs.

A scenario that passes whatever the engine does proves nothing. So each is run once for
each feature of the engine, with that feature switched off, and the table says which
expectation fails first. The suite runs one such line a scenario; all of them take minutes.

Run it from the root of the repository: ``python -m tests.scenarios.ablation``, with names
of scenarios to measure only those anew.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from patronus.sim import api
from tests.scenarios.catalogue import FEATURES, NAMES, SHOWN, failing, shipped, without

PAGE: Final = Path(__file__).parents[2] / "docs" / "scenarios.md"

_LINE: Final = re.compile(r"^\| \[([\w-]+)\]\(\S+\) \| (\w+) \| `(.+)` \|$", re.MULTILINE)


class Line(NamedTuple):
    """One line of the table."""

    scenario: str
    feature: str
    """Switched off."""
    expectation: str
    """The first that fails then."""


def committed() -> list[Line]:
    """Return the lines of the table in the page."""
    return [Line(*found) for found in _LINE.findall(PAGE.read_text(encoding="utf-8"))]


def lesson(name: str) -> str:
    """Return the line of a scenario in the list of lessons."""
    return f"- {_link(name)}: {' '.join(shipped(name).about.split())}"


def measured(names: Iterable[str] = NAMES) -> Iterator[Line]:
    """Run scenarios without every feature; yield what fails."""
    for name in names:
        for feature in FEATURES:
            failed = failing(api.run(without(name, feature)))
            if failed:
                yield Line(name, feature, failed[0])


def page(lines: list[Line]) -> str:
    """Return the text of the page with these lines in its table."""
    parts = {
        "lessons": [lesson(name) for name in NAMES],
        "features": [
            "| scenario | without | fails first |",
            "|---|---|---|",
            *(f"| {_link(a.scenario)} | {a.feature} | `{a.expectation}` |" for a in lines),
        ],
        "kinds": [
            "| kind | shown by | fault |",
            "|---|---|---|",
            *(f"| `{kind}` | {_link(name)} | `{fault}` |" for kind, (name, fault) in SHOWN.items()),
        ],
    }
    text = PAGE.read_text(encoding="utf-8")
    for part, content in parts.items():
        start, end = f"<!-- generated: {part} -->", f"<!-- end of {part} -->"
        before, _, rest = text.partition(start)
        _, _, after = rest.partition(end)
        body = "\n".join(content)
        text = f"{before}{start}\n\n{body}\n\n{end}{after}"
    return text


def _link(name: str) -> str:
    return f"[{name}](../scenarios/{name}.patronus.yml)"


def main(names: list[str]) -> None:
    """Write the page; with names, measure only those and keep the other lines."""
    kept = [line for line in committed() if names and line.scenario not in names]
    lines = sorted([*kept, *measured(names or NAMES)])
    PAGE.write_text(page(lines), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])

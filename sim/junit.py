"""JUnit XML of verdicts: one test case an expectation, one suite a scenario.

There is no standard; this keeps to the schema that Jenkins' xUnit plugin validates
against (junit-10.xsd), which other readers accept too. It allows properties of a suite
but not of a case, so the suite carries them all, numbered like its cases, and each case repeats its
own as text. Undecided is a failure of type ``undecided``: a gate that cannot decide must
not let anything through, and a skipped case would.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from patronus.sim.judgement import Judgement, Verdict

_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, not even escaped (section 2.2, Char)."""


@dataclass(frozen=True, slots=True)
class Suite:
    """The verdicts on one scenario."""

    name: str
    judgements: Sequence[Judgement]
    reproduce: str
    """The command that runs exactly this again."""
    wall_s: float = 0.0


def junit(suites: Iterable[Suite]) -> bytes:
    """Return the XML document for ``--junit FILE``, UTF-8 encoded."""
    suites = list(suites)
    root = ET.Element("testsuites", _totals(suites))
    for suite in suites:
        _suite(root, suite)
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _totals(suites: Sequence[Suite]) -> dict[str, str]:
    judgements = [j for suite in suites for j in suite.judgements]
    failures = sum(j.verdict is not Verdict.PASS for j in judgements)
    wall_s = sum(suite.wall_s for suite in suites)
    counts = {"tests": str(len(judgements)), "failures": str(failures), "errors": "0"}
    return {**counts, "time": f"{wall_s:.3f}"}


def _suite(root: ET.Element, suite: Suite) -> None:
    name = _clean(suite.name)
    element = ET.SubElement(root, "testsuite", {"name": name, **_totals([suite])})
    properties = ET.SubElement(element, "properties")
    _property(properties, "reproduce", suite.reproduce)
    for number, judgement in enumerate(suite.judgements, start=1):
        facts = _facts(judgement)
        for key, value in facts.items():
            _property(properties, f"{number}.{key}", value)
        case = ET.SubElement(
            element, "testcase", {"classname": name, "name": _clean(judgement.text)}
        )
        if judgement.verdict is not Verdict.PASS:
            _failure(case, judgement, suite.reproduce)
        out = ET.SubElement(case, "system-out")
        lines = {**facts, "reproduce": suite.reproduce}
        out.text = _clean("\n".join(f"{key}: {value}" for key, value in lines.items()))


def _failure(case: ET.Element, judgement: Judgement, reproduce: str) -> None:
    message = f"{judgement.measured_text}, expected {judgement.limit_text}"
    kind = str(judgement.verdict)
    failure = ET.SubElement(case, "failure", {"type": kind, "message": _clean(message)})
    lines = [judgement.text, message, judgement.note, *judgement.never_names, reproduce]
    failure.text = _clean("\n".join(line for line in lines if line))


def _facts(judgement: Judgement) -> dict[str, str]:
    facts = {"expectation": judgement.text, "verdict": str(judgement.verdict)}
    facts |= {"measured": judgement.measured_text, "limit": judgement.limit_text}
    if judgement.bounds:
        facts["lower"], facts["upper"] = judgement.bounds_text
    if judgement.needed:
        facts["seeds_needed"] = str(judgement.needed)
    facts |= {"seeds": " ".join(map(str, judgement.seeds)), "never": str(judgement.never)}
    return facts | ({"note": judgement.note} if judgement.note else {})


def _property(properties: ET.Element, name: str, value: str) -> None:
    ET.SubElement(properties, "property", {"name": name, "value": _clean(value)})


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)

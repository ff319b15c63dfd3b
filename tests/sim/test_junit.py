"""JUnit XML: its shape, what it says, and that no name can break it."""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.engine.units import NEVER
from patronus.sim.expectation import parse
from patronus.sim.judgement import Judgement, judge
from patronus.sim.junit import Suite, junit
from tests.sim.synthetic import make_run

SHAPE = {
    "testsuites": ({"testsuite"}, {"name", "time", "tests", "failures", "errors"}, set[str]()),
    "testsuite": (
        {"testsuite", "properties", "testcase", "system-out", "system-err"},
        {"name", "tests", "failures", "errors", "group", "time", "skipped", "timestamp"},
        {"name", "tests", "failures", "errors"},
    ),
    "properties": ({"property"}, set[str](), set[str]()),
    "property": (set[str](), {"name", "value"}, {"name", "value"}),
    "testcase": (
        {"skipped", "error", "failure", "system-out", "system-err"},
        {"name", "time", "classname", "group"},
        {"name"},
    ),
    "failure": (set[str](), {"type", "message"}, set[str]()),
    "system-out": (set[str](), set[str](), set[str]()),
}
"""By element: the children, the attributes and the required attributes that the schema allows."""


def misshapen(element: ET.Element) -> Sequence[str]:
    """Return what the schema does not allow in an element or below it."""
    children, allowed, required = SHAPE[element.tag]
    found = [f"{element.tag} in it: {c.tag}" for c in element if c.tag not in children]
    found += [f"{element.tag}: attribute {a}" for a in set(element.attrib) - allowed]
    found += [f"{element.tag}: no {a}" for a in required - set(element.attrib)]
    return [*found, *(f for child in element for f in misshapen(child))]


def verdicts(*texts: str) -> list[Judgement]:
    """Judge lines over two runs of which one has an exposure that never recovers."""
    runs = [make_run(1), make_run(2, failovers=[{"failover_ns": NEVER}])]
    return judge([parse(text) for text in texts], runs)


LINES = ("loops == 0", "failover.max < 1s", "failover.p95 < 1s @ 95%")


def test_one_case_an_expectation() -> None:
    """Pass is a bare case; fail and undecided are failures of that type, and are counted."""
    suite = Suite("dual isp", verdicts(*LINES), "patronus run dual-isp.patronus.yml --seed 1", 2.5)
    root = ET.fromstring(junit([suite]))
    assert misshapen(root) == []
    assert root.attrib == {"tests": "3", "failures": "2", "errors": "0", "time": "2.500"}
    cases = root.findall("testsuite/testcase")
    assert [case.get("name") for case in cases] == list(LINES)
    assert {case.get("classname") for case in cases} == {"dual isp"}
    failures = [case.find("failure") for case in cases]
    kinds = [None if f is None else f.get("type") for f in failures]
    assert kinds == [None, "fail", "undecided"]
    assert failures[1] is not None
    assert failures[1].get("message") == "never, expected < 1s"
    assert "seed 2: cut#0 berlin>rome voice" in str(failures[1].text)
    assert str(failures[1].text).endswith(suite.reproduce)


def test_properties_tell_the_figures() -> None:
    """Measured value, bounds, seeds and the command are properties, numbered by case."""
    root = ET.fromstring(junit([Suite("x", verdicts(*LINES), "patronus run x --repeat 2")]))
    told = {p.get("name"): p.get("value") for p in root.iter("property")}
    assert told["reproduce"] == "patronus run x --repeat 2"
    assert told["2.measured"] == "never"
    assert told["2.limit"] == "< 1s"
    assert told["2.never"] == "1"
    assert told["3.verdict"] == "undecided"
    assert (told["3.lower"], told["3.upper"]) == ("340 ms", "unknown")
    assert told["3.seeds"] == "1 2"
    assert int(str(told["3.seeds_needed"])) > 59
    out = root.findall("testsuite/testcase/system-out")[2]
    assert f"seeds_needed: {told['3.seeds_needed']}" in str(out.text)
    assert "reproduce: patronus run x --repeat 2" in str(out.text)


def test_suites_add_up() -> None:
    """Several scenarios are several suites, and the root counts them all; none is fine too."""
    suites = [Suite("a", verdicts(LINES[0]), "a", 1.25), Suite("b", verdicts(*LINES), "b", 0.5)]
    root = ET.fromstring(junit([*suites, Suite("empty", (), "c")]))
    assert misshapen(root) == []
    assert root.attrib == {"tests": "4", "failures": "2", "errors": "0", "time": "1.750"}
    assert [s.get("tests") for s in root] == ["1", "3", "0"]
    assert misshapen(ET.fromstring(junit([]))) == []


@settings(max_examples=30)
@given(st.text(st.characters(codec=None)), st.text())
def test_no_name_breaks_the_document(name: str, command: str) -> None:
    """Quotes, angle brackets, control characters and lone surrogates leave it well-formed."""
    text = 'failover.max < 1s for site="' + name.replace('"', '""') + '"'
    root = ET.fromstring(junit([Suite(name, verdicts(text), command)]))
    assert misshapen(root) == []
    assert len(root.findall("testsuite/testcase")) == 1


@pytest.mark.parametrize(
    ("name", "read"),
    [("<&\">'", "<&\">'"), ("bell\x07", "bell�"), ("\ud800", "�"), ("zürich 東京", "zürich 東京")],
)
def test_names_survive_where_xml_can_hold_them(name: str, read: str) -> None:
    """What XML can hold comes back unchanged; what it cannot is replaced, never dropped."""
    root = ET.fromstring(junit([Suite(name, (), "")]))
    suite = root.find("testsuite")
    assert suite is not None
    assert suite.get("name") == read

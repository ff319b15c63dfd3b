"""``patronus bench``: one small measure, as a table and as JSON, and what it refuses."""

import json

import pytest

from patronus.control import endings
from patronus.control.benchmarks import lines_of
from patronus.control.commands.bench import FULL, SMALL
from patronus.sim.benchmarks import cases, choices, searches
from patronus.sim.benchmarks.measures import choice_record
from tests.control.command import patronus


def test_a_measure_as_a_table() -> None:
    """The facts of the machine, then each measure with its peer."""
    told = patronus("bench", "--only", "path-search-200", "--runs", "2")
    assert (told.exit_code, told.stderr) == (0, "")
    lines = told.stdout.splitlines()
    assert [line.split()[0] for line in lines[:6]] == [
        "processor", "memory", "system", "python", "libraries", "runs",
    ]  # fmt: skip
    assert "path-search: all pairs with predecessors, 200 nodes, 400 links" in told.stdout
    assert [line.split()[0] for line in lines[-3:-1]] == ["patronus", "networkx"]
    assert " times as long" in lines[-2]


def test_a_measure_as_json() -> None:
    """One document: machine, runs, measures with every value, and that all was measured."""
    told = patronus("bench", "--only", "path-search-200", "--runs", "1", "--json")
    assert told.exit_code == 0
    record = json.loads(told.stdout)
    assert (record["runs"], record["finished"]) == (1, True)
    assert record["machine"]["cores"] >= 1
    (measure,) = record["measures"]
    assert measure["equal_distances"] is True
    assert len(measure["wall_s"]["values"]) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--only", "mesh-11"), "'mesh-11' is not one of"),
        (("--runs", "0"), "0 is not in the range"),
        (("mesh-10",), "unexpected extra argument"),
    ],
)
def test_what_cannot_be_measured(words: tuple[str, ...], message: str) -> None:
    """One message, and nothing is measured."""
    told = patronus("bench", *words)
    assert told.exit_code == endings.BAD_INPUT
    assert message in told.stderr
    assert told.stdout == ""


def test_path_choice_at_once_and_after_one_change() -> None:
    """Both layouts choose all pairs of which something changed, and few after one change."""
    for layout, candidates in (("direct", 3), ("hubs", 12)):
        record = choice_record(layout, 70, 2)
        assert (record["pairs"], record["candidates"]) == (70 * 69, candidates)
        assert record["all_moved"] > record["one_moved"] >= 0
        assert len(record["one_wall_s"]["cpu_values"]) == 2
        assert "70 sites, 4,830 pairs" in lines_of(record)[0]


def test_all_names_mean_something() -> None:
    """The command knows its measures by name before it imports what measures them."""
    for names, some, nodes, sites in (
        (SMALL, cases.SMALL, searches.SMALL_NODES, choices.SMALL_SITES),
        (FULL, cases.FULL, searches.FULL_NODES, choices.FULL_SITES),
    ):
        paths = {f"path-choice-{layout}-{sites}" for layout in ("direct", "hubs")}
        assert set(names) == {case.name for case in some} | {f"path-search-{nodes}"} | paths

"""The planted bugs: each applies, changes the program, goes away again, and is found."""

from importlib import import_module
from pathlib import Path

import pytest

from patronus.sim.fuzzing.attempts import shrink
from patronus.sim.fuzzing.campaign import Campaign, Wanted
from patronus.sim.fuzzing.drawing import draw
from patronus.sim.fuzzing.ledger import Ledger, Search
from patronus.sim.fuzzing.trial import judge
from patronus.sim.language import load, parse
from patronus.sim.language.writing import text
from tests.control.command import patronus
from tests.mutants.planted import BUGS, Bug, planted

BY_NAME = {bug.name: bug for bug in BUGS}

SEED = 11

FOUND = sorted((Path(__file__).parent / "found").glob("*.patronus.yml"))

FEW_SEED, FEW_NUMBER = 1, 49
"""A schedule of few faults that shows the short hold."""


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_each_bug_can_be_planted_and_taken_out(bug: Bug) -> None:
    """Functions of its module are others meanwhile, and the same as before afterwards."""
    module = import_module(bug.module)

    def functions() -> set[int]:
        classes = [c for c in vars(module).values() if isinstance(c, type)]
        return {id(f) for c in classes if c.__module__ == bug.module for f in vars(c).values()}

    before = functions()
    with planted(bug):
        assert functions() != before
    assert functions() == before


def test_there_are_ten_of_different_names() -> None:
    """Ten bugs, no two of one text."""
    assert len(BY_NAME) == len({bug.old for bug in BUGS}) == 10


def first(bug: Bug, most: int) -> int:
    """Return the number of the first schedule that finds a bug, and that is not sound else."""
    for number in range(most):
        drawn = draw(SEED, number)
        with planted(bug):
            found = bool(judge(drawn))
        if found and not judge(drawn):
            return number
    return -1


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_each_bug_is_found_and_shrunk(bug: Bug) -> None:
    """At most three faults are left, the file shows the bug, and the sound engine passes it."""
    number = first(bug, 400)
    assert number >= 0
    drawn = draw(SEED, number)
    with planted(bug):
        small = shrink(drawn, number, judge(drawn))
        again = parse(text(small.scenario), "again")
        assert judge(again).like(small.verdict)
    assert len(small.scenario.faults) <= 3
    assert not judge(again)


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name.partition(".")[0])
def test_the_smallest_day_of_a_bug_shows_it(path: Path) -> None:
    """What a search shrunk, or a hand wrote, fails with the bug and passes without it."""
    scenario = load(path)
    assert len(scenario.faults) <= 3
    with planted(BY_NAME[path.name.partition(".")[0]]):
        assert judge(scenario)
    assert not judge(scenario)


@pytest.mark.slow
def test_a_search_finds_and_shrinks_a_bug(tmp_path: Path) -> None:
    """From a schedule of the fuzzer to a file that the command line fails, in one search."""
    bug = BY_NAME["short-hold"]
    with planted(bug):
        ledger = Ledger(tmp_path / "out", Search(FEW_SEED, None, "0"))
        ledger.tried.update({n: {"check": ""} for n in range(FEW_NUMBER)})
        search = Campaign(Wanted(FEW_SEED, schedules=FEW_NUMBER + 1, trials=10), ledger)
        search.search()
        (record,) = ledger.findings
        assert record["check"] == "hasty"
        search.shrink()
        ledger.close()
        outcome = ledger.outcome(FEW_NUMBER, "hasty")
        assert outcome["faults"] <= 3
        told = patronus("run", ledger.folder / outcome["file"], "--out", tmp_path / "run")
        assert told.exit_code == 1
        assert "hasty == 0" in told.stdout

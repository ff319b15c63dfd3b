"""The ledger: what was noted is there after a kill, and another search is refused."""

from pathlib import Path

import pytest

from patronus.sim.fuzzing.attempts import Attempt
from patronus.sim.fuzzing.ledger import Ledger, LedgerError, Search
from patronus.sim.fuzzing.trial import Verdict

SEARCH = Search(seed=1, sites=None, version="1")


def done(number: int, check: str = "") -> Attempt:
    """Return what may have come of a schedule."""
    verdict = Verdict(check, 1 if check else 0, "told", "abc", 5)
    return Attempt(number, verdict, 60.0, 1.0, 9, again=number == 0)


def test_a_search_goes_on_after_a_cut_line(tmp_path: Path) -> None:
    """Whole lines count, the rest of one is forgotten, and new ones follow cleanly."""
    ledger = Ledger(tmp_path / "out", SEARCH)
    for number in (0, 2):
        ledger.note(done(number, "loops" if number else ""))
    ledger.close()
    with (tmp_path / "out" / "tried.jsonl").open("ab") as file:
        file.write(b'{"number": 7, "che')
    again = Ledger(tmp_path / "out", SEARCH)
    assert sorted(again.tried) == [0, 2]
    again.note(done(7))
    again.close()
    third = Ledger(tmp_path / "out", SEARCH)
    third.close()
    assert sorted(third.tried) == [0, 2, 7]
    assert [r["number"] for r in third.findings] == [2]


def test_another_search_is_refused(tmp_path: Path) -> None:
    """Seed, size and version make a search; the message names what differs."""
    Ledger(tmp_path, SEARCH).close()
    for other, name in (
        (Search(2, None, "1"), "seed"),
        (Search(1, 50, "1"), "sites"),
        (Search(1, None, "2"), "version"),
    ):
        with pytest.raises(LedgerError, match=f"a search with {name}"):
            Ledger(tmp_path, other)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 9}', "not json"])
def test_rubbish_is_refused(tmp_path: Path, content: str) -> None:
    """A head that is none is an error, not a new search."""
    (tmp_path / "search.json").write_text(content)
    with pytest.raises(LedgerError, match="not the head of a search"):
        Ledger(tmp_path, SEARCH)


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    """Nobody's files are mixed with findings."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(LedgerError, match="holds other files"):
        Ledger(tmp_path, SEARCH)


def test_a_broken_line_in_the_middle_is_told(tmp_path: Path) -> None:
    """A file that somebody edited is not silently taken for less than it was."""
    Ledger(tmp_path, SEARCH).close()
    (tmp_path / "tried.jsonl").write_text("rubbish\n")
    with pytest.raises(LedgerError, match=r"tried.jsonl:1 is no record"):
        Ledger(tmp_path, SEARCH)

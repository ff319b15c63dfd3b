"""The journal: canonical bytes, two fingerprints, and a reader that trusts nobody."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from patronus.engine import journal
from patronus.engine.journal import (
    LINE_BYTES_MAX,
    Decision,
    DecisionJournal,
    JournalError,
    Reason,
    encode,
    read,
)
from tests.mutants.harness import caught, mutant
from tests.oracles import journal as oracle

INT64 = st.integers(-(2**63), 2**63 - 1)
TEXT = st.one_of(st.sampled_from(["", "mpls>berlin", '"', "\\", "{0}", "}{", "münchen", "\n"]))
NAMES = TEXT | st.text(max_size=8)
DECISIONS = st.builds(
    Decision,
    t_ns=INT64,
    site=NAMES,
    destination=NAMES,
    traffic_class=NAMES,
    from_path=NAMES,
    to_path=NAMES,
    reason=st.sampled_from(Reason),
    numbers=st.dictionaries(NAMES, INT64, max_size=4).map(lambda d: tuple(d.items())),
)
RUNS = st.lists(DECISIONS, max_size=6).map(lambda run: sorted(run, key=lambda d: d.t_ns))


def record(decision: Decision) -> dict[str, Any]:
    return {
        "v": 1,
        "t_ns": decision.t_ns,
        "site": decision.site,
        "destination": decision.destination,
        "class": decision.traffic_class,
        "from": decision.from_path,
        "to": decision.to_path,
        "reason": str(decision.reason),
        "numbers": dict(decision.numbers),
    }


def holds(kernel: ModuleType, run: list[Decision]) -> None:
    lines: list[bytes] = []
    written = kernel.DecisionJournal(lines.append)
    for decision in run:
        written.append(decision)
    assert lines == [oracle.line(record(decision)) for decision in run]
    fingerprints = (written.decisions_sha256, written.journal_sha256)
    assert fingerprints == oracle.fingerprints(map(record, run))
    assert written.count == len(run)


@given(RUNS)
def test_lines_and_hashes_are_those_of_the_standard_library(run: list[Decision]) -> None:
    """The quick writer gives the bytes of sorted, blank-free ASCII JSON, and their hashes."""
    holds(journal, run)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("order = sorted(range(len(names)), key=names.__getitem__)", "order = range(len(names))"),
        ('replace("{", "{{").', 'replace("{", "{").'),
        ("_quote = lru_cache(maxsize=65_536)(json.dumps)", "_quote = '\"{}\"'.format"),
        ('self._decisions.update(f"{head}{tail}', 'self._decisions.update(f"{head}{numbers}{tail}'),
        ('self._journal.update(line + b"\\n")', "self._journal.update(line)"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Unsorted or unescaped names and hashes of something else are noticed."""
    broken = mutant(journal, old, new)
    assert caught(RUNS, lambda run: holds(broken, run))


@given(RUNS)
def test_what_was_written_is_read_back(run: list[Decision]) -> None:
    """Reading gives equal decisions, their numbers in order of names, with newlines or without."""
    lines = [encode(decision) for decision in run]
    expected = [record(decision) for decision in run]
    assert [record(decision) for decision in read(lines)] == expected
    assert [record(decision) for decision in read(ln + b"\n" for ln in lines)] == expected
    assert [encode(decision) for decision in read(lines)] == lines


@given(st.binary(max_size=60))
def test_hostile_bytes_give_the_documented_error(data: bytes) -> None:
    """Whatever a line holds, it is refused by name."""
    with pytest.raises(JournalError, match="line 1: "):
        list(read([data]))


GOOD = Decision(5, "a", "b", "voice", "", "mpls>b", Reason.START, (("rtt_ns", 7),))
HUGE = "9" * 5000


@given(
    st.sampled_from(sorted(record(GOOD))),
    st.one_of(
        st.none(),
        st.booleans(),
        st.floats(),
        st.integers(2**63, 2**70),
        st.integers(-(2**70), -(2**63) - 1),
        st.lists(st.integers(), max_size=2),
        st.just("no such word"),
        st.dictionaries(st.just("x"), st.none() | st.floats() | st.booleans() | st.just(2**63)),
    ),
)
@example("v", 2)
@example("numbers", {"x": {}})
def test_wrong_values_are_refused(key: str, value: object) -> None:
    """Every field has one type and one range; the reader never guesses."""
    altered = record(GOOD) | {key: value}
    names = {"site", "destination", "class", "from", "to"}
    fine = (isinstance(value, str) and key in names) or (key == "numbers" and value == {})
    if fine:
        assert len(list(read([oracle.line(altered)]))) == 1
    else:
        with pytest.raises(JournalError):
            list(read([oracle.line(altered)]))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda line: b" " + line, "canonical"),
        (lambda line: line.replace(b'"a"', b'"\\u0061"'), "canonical"),
        (lambda line: line.replace(b'"v":1', b'"v":1,"v":1'), "canonical"),
        (lambda line: line.replace(b'"v":1', b'"v":2'), "version"),
        (lambda line: line.replace(b"start", b"stars"), "reason"),
        (lambda line: line.replace(b'"a"', '"ä"'.encode()), "ASCII"),
        (lambda line: line.replace(b'"t_ns":5', b'"t_ns":' + HUGE.encode()), "JSON"),
        (lambda line: line.replace(b'"t_ns":5', b'"t_ns":NaN'), "t_ns"),
        (lambda line: line + line, "JSON"),
        (lambda line: b"[" * 60_000, "JSON"),
        (lambda line: b"[]", "exactly the keys"),
        (lambda line: b"{}", "exactly the keys"),
        (lambda line: line.ljust(LINE_BYTES_MAX + 1), "longer than"),
    ],
)
def test_each_kind_of_damage_is_named(change: Any, says: str) -> None:
    """The message says which line and what is wrong with it."""
    good = encode(GOOD)
    reader = read([good, change(good)])
    assert next(reader) == GOOD
    with pytest.raises(JournalError, match="line 2") as caught_error:
        next(reader)
    assert says in str(caught_error.value)


def test_time_does_not_go_back() -> None:
    """A decision older than the last one is a bug of the caller; an equal time is a batch."""
    written = DecisionJournal()
    written.append(GOOD)
    written.append(GOOD)
    with pytest.raises(ValueError, match="after one of 5 ns"):
        written.append(Decision(4, "a", "b", "voice", "", "", Reason.NO_PATH))
    assert (written.count, written.last_ns) == (2, 5)


@pytest.mark.parametrize("numbers", [(("x", 1.0),), (("x", 1), ("x", 2)), (("x", "1"),)])
def test_numbers_are_integers_with_a_name_each(numbers: Any) -> None:
    """A float, a text or a name used twice cannot enter the journal."""
    with pytest.raises(ValueError, match=r"twice|format code"):
        DecisionJournal().append(Decision(0, "", "", "", "", "", Reason.START, numbers))


def test_numpy_integers_are_written_as_integers() -> None:
    """Whether a number came out of an array does not change a byte."""
    plain = Decision(5, "a", "b", "voice", "", "mpls>b", Reason.START, (("x", 7), ("ok", 1)))
    careless: Any = np.int64(5), (("x", np.int64(7)), ("ok", True))
    same = Decision(careless[0], "a", "b", "voice", "", "mpls>b", Reason.START, careless[1])
    assert encode(plain) == encode(same)


def test_an_empty_journal_has_the_hash_of_nothing() -> None:
    """Fingerprints of nothing are those of an empty file, so a check can tell."""
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert DecisionJournal().journal_sha256 == DecisionJournal().decisions_sha256 == empty


def test_a_line_is_as_published() -> None:
    """The bytes of schema version 1, for readers in other languages."""
    assert encode(GOOD) == (
        b'{"class":"voice","destination":"b","from":"","numbers":{"rtt_ns":7},'
        b'"reason":"start","site":"a","t_ns":5,"to":"mpls>b","v":1}'
    )

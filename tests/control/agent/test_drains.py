"""Planned moves that outlive the agent: the file, and what becomes of rubbish in it."""

from pathlib import Path

import numpy as np
import pytest

from patronus.control.agent.drains import DRAINS_FILE, FAR_NS, Drains, store, stored
from patronus.control.members.secretfile import SecretError
from patronus.dataplane.stamp.tlv import Drain
from patronus.engine.overlay import I64
from patronus.engine.units import SECOND

LABELS = ["blue>hub", "red>hub", "red>oslo"]
NOW_NS, DRAIN_NS = 1000 * SECOND, 60 * SECOND


def read(folder: Path, labels: list[str] = LABELS) -> list[int]:
    found: list[int] = stored(folder, labels, now_ns=NOW_NS, drain_ns=DRAIN_NS).tolist()
    return found


def test_a_drain_is_found_again_by_name(tmp_path: Path) -> None:
    """Rows may be numbered otherwise by then; those that are no more are forgotten."""
    store(tmp_path, LABELS, np.array([NOW_NS + 5, 0, NOW_NS - 7]))
    assert read(tmp_path) == [NOW_NS + 5, 0, NOW_NS - 7]
    assert read(tmp_path, ["red>oslo", "blue>hub"]) == [NOW_NS - 7, NOW_NS + 5]
    store(tmp_path, LABELS, np.zeros(3, dtype=np.int64))
    assert read(tmp_path) == [0, 0, 0]


def test_after_a_reboot_the_deadline_begins_anew(tmp_path: Path) -> None:
    """The clock of before says nothing; what was drained is."""
    store(tmp_path, LABELS, np.array([5, 0, 0]))
    file = tmp_path / DRAINS_FILE
    text = file.read_text()
    boot = text.split('"')[3]
    file.write_text(text.replace(boot, "another"))
    assert read(tmp_path) == [NOW_NS + DRAIN_NS, 0, 0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"boot": 1}',
        '{"boot": "", "drains": 3}',
        '{"boot": "", "drains": {"red>hub": "x"}}',
    ],
)
def test_a_file_that_makes_no_sense_drains_nothing(text: str, tmp_path: Path) -> None:
    """Rubbish, and no file at all."""
    assert read(tmp_path) == [0, 0, 0]
    (tmp_path / DRAINS_FILE).write_text(text)
    assert read(tmp_path) == [0, 0, 0]


def test_a_deadline_beyond_any_drain_is_cut(tmp_path: Path) -> None:
    """A hand may have written it: nothing is drained for ever, and nothing since ever."""
    store(tmp_path, LABELS, np.array([2**62, -5, 0]))
    assert read(tmp_path) == [NOW_NS + DRAIN_NS, 0, 0]


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    """The operator hears that a restart will forget."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SecretError, match="cannot write"):
        store(tmp_path / "file", LABELS, np.zeros(3, dtype=np.int64))


def test_the_first_of_two_deadlines_counts() -> None:
    """Ours and the peer's; the peer's is over when it says so, from when we heard it."""
    drains = Drains(np.zeros(3, dtype=np.int64))
    rows: I64 = np.array([0, 1], dtype=np.int64)
    drains.ask(rows, 100)
    drains.hear(np.array([0, Drain.ASKED, Drain.ASKED]), 10)
    assert drains.in_force.until_ns.tolist() == [100, 100, FAR_NS]
    assert drains.in_force.told.tolist() == [True, True, False]
    over = Drain.ASKED | Drain.OVERDUE
    drains.hear(np.array([0, over, over]), 20)
    drains.hear(np.array([0, over, over]), 30)
    assert drains.in_force.until_ns.tolist() == [100, 20, 20]
    assert [drains.by_peer(np.array([row])) for row in range(3)] == [0, 1, 1]

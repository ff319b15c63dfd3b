"""Destinations keep their places in the kernel's tables."""

from pathlib import Path

import pytest

from patronus.control.agent.places import PLACES_FILE, places

CLASSES = ["voice", "rest"]


def test_a_name_keeps_its_place(tmp_path: Path) -> None:
    """New names take free places, whatever order they come in; others stay where they were."""
    assert places(tmp_path, ["b", "c"], CLASSES, 8).tolist() == [0, 1]
    assert places(tmp_path, ["a", "b", "c"], CLASSES, 8).tolist() == [2, 0, 1]
    assert places(tmp_path, ["c", "d"], CLASSES, 8).tolist() == [1, 3]


def test_a_place_that_was_left_is_used_last(tmp_path: Path) -> None:
    """Packets for a destination that has gone may be under way; only need makes others take it."""
    assert places(tmp_path, ["a", "b"], CLASSES, 3).tolist() == [0, 1]
    assert places(tmp_path, ["b", "c", "d"], CLASSES, 3).tolist() == [1, 2, 0]
    with pytest.raises(ValueError, match="room for 3"):
        places(tmp_path, ["a", "b", "c", "d"], CLASSES, 3)


DAMAGED = (
    "", "[]", "{}", '{"classes": ["voice", "rest"], "places": 5}',
    '{"classes": ["voice", "rest"], "places": {"a": 4, "b": 4}}',
)  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_file_is_as_none(tmp_path: Path, text: str) -> None:
    """Whatever the file holds, places are given, each once."""
    (tmp_path / PLACES_FILE).write_text(text)
    assert places(tmp_path, ["a", "b"], CLASSES, 8).tolist() == [0, 1]


def test_other_classes_begin_anew(tmp_path: Path) -> None:
    """With other classes no entry of before means anything."""
    places(tmp_path, ["a", "b"], CLASSES, 8)
    assert places(tmp_path, ["b"], ["rest"], 8).tolist() == [0]

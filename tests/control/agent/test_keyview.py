"""Keys as people and Prometheus see them."""

from typing import Any

import pytest

from patronus.control.agent.keyview import key_lines, span
from patronus.control.agent.metrics import _keys
from patronus.engine.units import SECOND

HOUR_S = 3600
KEY: dict[str, Any] = {
    "transport": "lte", "generation": 7, "age_ns": 30 * HOUR_S * SECOND, "next_generation": None,
    "phase": "idle", "pending": [], "since_ns": None, "reason": None, "done": 2, "given_up": 1,
    "due_ns": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (HOUR_S, "1 h 0 min"),
     (25 * HOUR_S + 120, "1 d 1 h")],
)  # fmt: skip
def test_an_age_has_two_units(seconds: int, text: str) -> None:
    """The largest ones that are not nothing."""
    assert span(seconds * SECOND) == text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, "lte 7 1 d 6 h – 2 1"),
        ({"due_ns": 90 * SECOND}, "lte 7 1 d 6 h in 1 min 30 s 2 1"),
        (
            {"next_generation": 8, "phase": "announced", "pending": ["oslo", "rome"]},
            "lte 7 1 d 6 h 8 is announced 2 1 pending: waits for oslo, rome",
        ),
        ({"reason": "aborted"}, "lte 7 1 d 6 h – 2 1 given up: aborted"),
    ],
)  # fmt: skip
def test_a_line_tells_how_far_a_key_is(change: dict[str, Any], words: str) -> None:
    """Generation, age, the next one, how often, and what it waits for."""
    _, line = key_lines([KEY | change])
    assert " ".join(line.split()) == words


def test_no_keys_are_told_of() -> None:
    """In a sentence, not in an empty table."""
    assert key_lines([]) == ["no tunnel is made of WireGuard"]


def test_metrics_have_generation_and_age() -> None:
    """And what came of the rotations so far."""
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in _keys([KEY])
        for sample in family.samples
    }
    assert found == {
        ("patronus_key_generation", "lte"): 7.0,
        ("patronus_key_age_seconds", "lte"): 108_000.0,
        ("patronus_key_rotation", "lte"): 0.0,
        ("patronus_key_rotations_total", "lte", "done"): 2.0,
        ("patronus_key_rotations_total", "lte", "given_up"): 1.0,
    }

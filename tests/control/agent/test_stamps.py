"""Edges read off stamps: each once, at its time, also those that healed in between."""

import numpy as np

from patronus.control.agent.stamps import Stamps
from patronus.engine.liveness import Input
from patronus.engine.overlay import I64
from patronus.engine.units import LONG_AGO, NEVER


def row(value: int) -> I64:
    return np.array([value], dtype=np.int64)


def look(stamps: Stamps, confirmed: int, since: int, now: int) -> list[tuple[int, Input]]:
    edges = stamps.look(
        confirmed_ns=row(confirmed), detect_ns=row(30), since_ns=row(since), now_ns=now
    )
    return [(int(at), Input(int(kind))) for at, kind in zip(edges.at_ns, edges.kind, strict=True)]


def test_a_row_that_is_heard_is_told_once() -> None:
    """The first proof is an edge at its time; more of them are none."""
    stamps = Stamps(row(NEVER))
    assert look(stamps, LONG_AGO, NEVER, 50) == []
    assert look(stamps, 90, 70, 100) == [(70, Input.CONFIRM)]
    assert look(stamps, 110, 70, 120) == []


def test_silence_begins_when_the_proof_runs_out() -> None:
    """It is dated by the proof, not by the look, and told once."""
    stamps = Stamps(row(0))
    assert look(stamps, 100, 0, 130) == []
    assert look(stamps, 100, 0, 140) == [(131, Input.EXPIRE)]
    assert look(stamps, 100, NEVER, 150) == []


def test_a_blink_is_two_edges() -> None:
    """Silent and back between two looks: both are told, in order."""
    stamps = Stamps(row(0))
    assert look(stamps, 200, 190, 210) == [(190, Input.EXPIRE), (190, Input.CONFIRM)]
    assert look(stamps, 215, 190, 220) == []


def test_no_edge_lies_ahead() -> None:
    """What the kernel wrote after the clock was read is dated by the look."""
    stamps = Stamps(row(NEVER))
    assert look(stamps, 105, 105, 100) == [(100, Input.CONFIRM)]

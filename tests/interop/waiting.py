"""Waiting for something that another process does, with a deadline."""

from collections.abc import Callable
from threading import Event
from time import monotonic
from typing import TypeVar

Answer = TypeVar("Answer")

PAUSE_S = 0.02


def eventually(ask: Callable[[], Answer], within_s: float = 15.0) -> Answer:
    """Ask until the answer is true, and return it; fail when the time is over."""
    until, never = monotonic() + within_s, Event()
    while not (answer := ask()):
        assert monotonic() < until, f"not within {within_s} s: {ask}"
        never.wait(PAUSE_S)
    return answer

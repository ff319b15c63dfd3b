"""How WireGuard keys are, as a table."""

from collections.abc import Iterator
from typing import Any

from patronus.control.agent.terminal import GAP
from patronus.control.tables import table
from patronus.engine.units import SECOND

Answer = dict[str, Any]


def key_lines(keys: list[Answer]) -> list[str]:
    """Return a line for each transport's key."""
    if not keys:
        return ["no tunnel is made of WireGuard"]
    head = ["transport", "generation", "age", "next one", "replaced", "given up", ""]
    rows = [
        [
            k["transport"], str(k["generation"]), span(k["age_ns"]), _next(k), str(k["done"]),
            str(k["given_up"]), "; ".join(_remarks(k)),
        ]
        for k in keys
    ]  # fmt: skip
    return table([head, *rows], right=(1, 2, 4, 5))


def span(time_ns: int) -> str:
    """Return an age in its two largest units."""
    seconds = time_ns // SECOND
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"


def _next(key: Answer) -> str:
    if key["next_generation"] is not None:
        return f"{key['next_generation']} is {key['phase']}"
    return GAP if key["due_ns"] is None else f"in {span(key['due_ns'])}"


def _remarks(key: Answer) -> Iterator[str]:
    if key["pending"]:
        yield f"pending: waits for {', '.join(key['pending'])}"
    if key["reason"]:
        yield f"given up: {key['reason']}"

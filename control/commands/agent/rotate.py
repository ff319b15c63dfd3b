"""``patronus agent rotate``: replaces WireGuard keys."""

import time
from typing import Any, Final

import click

from patronus.control.agent.terminal import config_option, json_option
from patronus.control.options import duration

GIVEN_UP: Final = 1
UNDECIDED: Final = 3
"""As of ``patronus run``: neither done nor given up in time."""
LOOK_S: Final = 0.2


@click.command()
@click.argument("transports", metavar="[TRANSPORT]...", nargs=-1)
@click.option("--wait", "wait_ns", metavar="TIME", callback=duration,
              help="Wait for the end, at most so long: 30s, 5m.")  # fmt: skip
@config_option
@json_option
def command(transports: tuple[str, ...], wait_ns: int | None, file: str, as_json: bool) -> int:
    """Replace the WireGuard keys of transports, of all if none is named.

    Both ends change over without a lost packet. Without --wait it is begun when this returns;
    `patronus agent show keys` tells how far it is.
    """
    from patronus.control.agent import terminal
    from patronus.control.agent.keyview import key_lines
    from patronus.engine.units import SECOND

    seconds = (wait_ns or 0) / SECOND
    answer = terminal.asked(file, {"do": "rotate", "transports": list(transports)})
    before = {key["transport"]: key for key in answer}
    named = transports or tuple(before)
    deadline = time.monotonic() + seconds
    while seconds and _under_way(answer, named) and time.monotonic() < deadline:
        time.sleep(LOOK_S)
        answer = terminal.asked(file, {"do": "show", "what": "keys"})
    answer = [key for key in answer if key["transport"] in named]
    terminal.shown(answer, key_lines, as_json=as_json)
    return _code(answer, before) if seconds else 0


def _under_way(keys: list[dict[str, Any]], named: tuple[str, ...]) -> bool:
    return any(k["next_generation"] is not None for k in keys if k["transport"] in named)


def _code(keys: list[dict[str, Any]], before: dict[str, dict[str, Any]]) -> int:
    """Return how it ended."""
    if any(key["given_up"] > before[key["transport"]]["given_up"] for key in keys):
        return GIVEN_UP
    return UNDECIDED if any(key["next_generation"] is not None for key in keys) else 0

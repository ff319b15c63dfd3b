"""``patronus agent drain``: moves traffic away, as planned."""

from typing import Any

import click

from patronus.control.agent.terminal import config_option, json_option


@click.command()
@click.argument("name")
@config_option
@json_option
def command(name: str, file: str, as_json: bool) -> int:
    """Keep traffic off a tunnel (TRANSPORT>PEER), a transport or a peer while others will do."""
    from patronus.control.agent import terminal

    answer = terminal.asked(file, {"do": "drain", "name": name, "on": True})
    terminal.shown(answer, _lines, as_json=as_json)
    return 0


def _lines(answer: dict[str, Any]) -> list[str]:
    from patronus.control.tables import counted

    lines = [f"{counted(answer['tunnels'], 'tunnel')} drained"]
    return lines + ([answer["trouble"]] if answer["trouble"] else [])

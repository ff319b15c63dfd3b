"""``patronus agent undrain``: lets traffic come back."""

from typing import Any

import click

from patronus.control.agent.terminal import config_option, json_option


@click.command()
@click.argument("name")
@config_option
@json_option
def command(name: str, file: str, as_json: bool) -> int:
    """Let traffic use a drained tunnel (TRANSPORT>PEER), transport or peer again."""
    from patronus.control.agent import terminal

    answer = terminal.asked(file, {"do": "drain", "name": name, "on": False})
    terminal.shown(answer, _lines, as_json=as_json)
    return 0


def _lines(answer: dict[str, Any]) -> list[str]:
    from patronus.control.tables import counted

    lines = [f"{counted(answer['tunnels'], 'tunnel')} undrained"]
    if answer["by_peer"]:
        lines.append(f"{counted(answer['by_peer'], 'tunnel')} of them the peer still drains")
    return lines + ([answer["trouble"]] if answer["trouble"] else [])

"""``patronus agent record``: switches the recording of the engine's inputs."""

from typing import Any

import click

from patronus.control.agent.terminal import config_option, json_option


@click.command()
@click.argument("switch", type=click.Choice(["on", "off"]))
@config_option
@json_option
def command(switch: str, file: str, as_json: bool) -> int:
    """Begin a new recording, or end the one that is being written."""
    from patronus.control.agent import terminal

    answer = terminal.asked(file, {"do": "record", "on": switch == "on"})
    terminal.shown(answer, _lines, as_json=as_json)
    return 0


def _lines(answer: dict[str, Any]) -> list[str]:
    where = answer["recording"]
    return [f"recording to {where}" if where else "recording is off"]

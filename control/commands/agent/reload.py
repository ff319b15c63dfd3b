"""``patronus agent reload``: reads the configuration again."""

from typing import Any

import click

from patronus.control.agent.terminal import config_option, json_option


@click.command()
@config_option
@json_option
def command(file: str, as_json: bool) -> int:
    """Take over what has changed in the configuration; packets go on flowing.

    A change that may cut the agent off is refused: `apply` makes such a change.
    """
    from patronus.control.agent import terminal

    terminal.shown(terminal.asked(file, {"do": "reload"}), change_lines, as_json=as_json)
    return 0


def change_lines(answer: dict[str, Any]) -> list[str]:
    """Return what has changed and what that asks for."""
    from patronus.control.tables import table

    rows = [[c["where"], c["what"], c["needs"]] for c in answer["changes"]]
    return table(rows) or ["nothing has changed"]

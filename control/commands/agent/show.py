"""``patronus agent show``: what the agent knows and does."""

from typing import Any, Final

import click

from patronus.control.agent.terminal import config_option, json_option

VIEWS: Final = ("health", "paths", "forwarding", "flows", "counters", "bfd", "keys")


@click.command()
@click.argument("what", type=click.Choice(VIEWS))
@config_option
@json_option
@click.option("--most", metavar="N", type=click.IntRange(1, 1000), default=20, show_default=True,
              help="Flows to show, the largest first.")  # fmt: skip
def command(what: str, file: str, as_json: bool, most: int) -> int:
    """Show tunnels and troubles, paths, what is installed, busy flows, counters, BFD, or keys."""
    from patronus.control.agent import terminal
    from patronus.control.agent.keyview import key_lines

    lines: dict[str, Any] = {
        "health": terminal.health_lines, "paths": terminal.path_lines,
        "forwarding": terminal.forwarding_lines, "flows": terminal.flow_lines,
        "counters": terminal.counter_lines, "bfd": terminal.bfd_lines,
        "keys": key_lines,
    }  # fmt: skip
    answer = terminal.asked(file, {"do": "show", "what": what, "most": most})
    terminal.shown(answer, lines[what], as_json=as_json)
    return 0

"""``patronus agent why``: why a destination is reached the way it is."""

import click

from patronus.control.agent.terminal import config_option, json_option


@click.command()
@click.argument("destination")
@click.option("--class", "traffic_class", metavar="CLASS", help="Of traffic; the last one if none.")
@config_option
@json_option
def command(destination: str, traffic_class: str | None, file: str, as_json: bool) -> int:
    """Explain a path: the decision in force, its numbers, and the tunnels there are."""
    from patronus.control.agent import terminal

    question = {"do": "why", "destination": destination, "class": traffic_class}
    terminal.shown(terminal.asked(file, question), terminal.why_lines, as_json=as_json)
    return 0

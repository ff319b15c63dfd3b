"""``patronus agent apply``: a change that undoes itself unless it is confirmed."""

import click

from patronus.control.agent.terminal import config_option, json_option


@click.command()
@click.option("--confirm-within", metavar="TIME", help="Undo it unless confirmed: 30s, 5min.")
@click.option("--confirm", is_flag=True, help="Keep what was applied.")
@config_option
@json_option
def command(confirm_within: str | None, confirm: bool, file: str, as_json: bool) -> int:
    """Read the configuration again, and go back to the one before unless that is confirmed."""
    from patronus.control.agent import terminal
    from patronus.control.commands.agent.reload import change_lines
    from patronus.control.endings import Failure

    if confirm == (confirm_within is not None):
        raise Failure("say either `--confirm-within TIME` or `--confirm`")
    if confirm:
        answer = terminal.asked(file, {"do": "confirm"})
        terminal.shown(answer, lambda _: ["confirmed"], as_json=as_json)
        return 0
    question = {"do": "apply", "confirm_within_s": _seconds(confirm_within or "")}
    terminal.shown(terminal.asked(file, question), change_lines, as_json=as_json)
    return 0


def _seconds(text: str) -> float:
    """Return a time in seconds.

    Raises:
        Failure: it is none.
    """
    from patronus.control.endings import Failure

    units = {"ms": 0.001, "s": 1.0, "min": 60.0}
    for unit, scale in units.items():
        number = text.removesuffix(unit)
        if number != text and number.replace(".", "", 1).isdecimal():
            return float(number) * scale
    raise Failure(f"{text!r} is no time: write 30s or 5min")

"""``patronus agent clean``: takes everything of ours out of the kernel."""

import json

import click

from patronus.control.agent.terminal import config_option, json_option


@click.command()
@config_option
@json_option
def command(file: str, as_json: bool) -> int:
    """Remove all that an agent has left in this machine's kernel, and nothing else.

    Keys, recordings and the configuration stay. While an agent runs, it refuses.
    """
    from patronus.control.agent.cleaning import clean
    from patronus.control.agent.lock import Taken
    from patronus.control.config import load
    from patronus.control.endings import Failure

    try:
        gone = clean(load(file))
    except Taken as taken:
        raise Failure(f"{taken}: stop it first") from None
    except OSError as error:
        raise Failure(f"cannot clean: {error.strerror}; does this run as root?") from None
    click.echo(json.dumps(gone) if as_json else "\n".join(gone) or "there was nothing of ours")
    return 0

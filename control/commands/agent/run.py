"""``patronus agent run``: the agent itself, in the foreground."""

import click

from patronus.control.agent.terminal import config_option


@click.command()
@config_option
@click.option(
    "--cache", metavar="DIR", help="Folder of compiled programs.  [default: /var/cache/patronus]"
)
def command(file: str, cache: str | None) -> int:
    """Run a site: probe its tunnels, choose paths, and keep the kernel as it must be.

    What the kernel does goes on when the agent ends, and is taken over when it starts again.
    SIGTERM ends it, SIGHUP reads the configuration again.
    """
    from pathlib import Path

    from patronus.control.agent.main import CannotStart, run
    from patronus.control.config import load
    from patronus.control.endings import BAD_INPUT, INVALID, Failure
    from patronus.dataplane.linux.builder import CACHE

    config = load(file)
    try:
        run(config, Path(cache) if cache else CACHE)
    except CannotStart as error:
        raise Failure(str(error), INVALID if error.machine else BAD_INPUT) from None
    return 0

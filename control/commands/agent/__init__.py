"""``patronus agent``: what runs on a site's router, and what one asks of it."""

from typing import Final

import click

from patronus.control.groups import LazyGroup

COMMANDS: Final = (
    "check-config", "run", "show", "why", "drain", "undrain", "rotate", "reload", "apply",
    "record", "clean",
)  # fmt: skip
"""In the order in which one needs them."""


@click.group(cls=LazyGroup, package="patronus.control.commands.agent", names=COMMANDS)
def command() -> None:
    """Run a site, and ask its agent what it does."""

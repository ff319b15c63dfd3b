"""``patronus scenarios``: the shipped ones, and what each teaches."""

import click

from patronus.control import options


@click.command()
def command() -> int:
    """List the shipped scenarios.

    Their names can stand for FILE in the other commands.
    """
    from patronus.control.tables import table
    from patronus.sim.language import load

    folder = options.scenario_folder()
    files = sorted(folder.glob(f"*{options.SUFFIX}"))
    rows = [(file.name.removesuffix(options.SUFFIX), _short(load(file).about)) for file in files]
    click.echo("\n".join([*table(rows), "", f"They lie in {folder}"]))
    return 0


def _short(about: str) -> str:
    """Return the first sentence."""
    text = " ".join(about.split())
    head, stop, _ = text.partition(". ")
    return head + stop.strip()

"""``patronus scenarios``: the shipped ones, and what each teaches."""

import click

from patronus.control import options


@click.command()
def command() -> int:
    """List the shipped scenarios.

    Their names can stand for FILE in the other commands.
    """
    from patronus.control.tables import first_sentence, table
    from patronus.sim.language import load

    folder = options.scenario_folder()
    files = sorted(folder.glob(f"*{options.SUFFIX}"))
    rows = [
        (file.name.removesuffix(options.SUFFIX), first_sentence(load(file).about)) for file in files
    ]
    click.echo("\n".join([*table(rows), "", f"They lie in {folder}"]))
    return 0

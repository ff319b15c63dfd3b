"""``patronus schema``: the JSON Schema of scenario files, for editors."""

import json

import click


@click.command()
def command() -> int:
    """Print the JSON Schema of scenario files.

    Editors complete and check scenarios with it; docs/cli.md says how to tell them.
    """
    from patronus.sim.language import schema

    click.echo(json.dumps(schema(), indent=2, ensure_ascii=False))
    return 0

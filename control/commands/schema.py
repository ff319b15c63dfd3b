"""``patronus schema``: the JSON Schemas of scenario files and of ``agent.yml``, for editors."""

import json

import click


@click.command()
@click.option("--agent", is_flag=True, help="Print the schema of an agent's configuration instead.")
def command(agent: bool) -> int:
    """Print the JSON Schema of scenario files, or of an agent's configuration.

    Editors complete and check files with it; docs/cli.md says how to tell them.
    """
    if agent:
        from patronus.control.config import schema
    else:
        from patronus.sim.language import schema

    click.echo(json.dumps(schema(), indent=2, ensure_ascii=False))
    return 0

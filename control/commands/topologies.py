"""``patronus topologies``: the maps that a scenario can name."""

import click


@click.command()
@click.argument("words", nargs=-1, metavar="[WORD]…")
def command(words: tuple[str, ...]) -> int:
    """List the maps, or those whose names hold all the WORDs.

    Shipped ones come with their source; those of the topohub package are listed when
    it is installed.
    """
    from patronus.control.tables import table
    from patronus.sim.topology.maps import load_map, shipped_maps, topohub_maps

    maps = [load_map(name) for name in shipped_maps() if _meant(name, words)]
    rows = [("map", "nodes", "links", "source"), *((m.name, str(len(m.nodes)), str(len(m.links)),
             m.source) for m in maps)]  # fmt: skip
    lines = table(rows, right=(1, 2)) if maps else []
    others = topohub_maps()
    lines += ["", *(name for name in others if _meant(name, words))] if others else []
    if not others:
        lines += ["", "Some 700 more with the topohub package: pip install 'patronus[maps]'"]
    click.echo("\n".join(lines))
    return 0


def _meant(name: str, words: tuple[str, ...]) -> bool:
    return all(word.casefold() in name.casefold() for word in words)

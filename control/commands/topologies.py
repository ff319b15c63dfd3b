"""``patronus topologies``: the maps that a scenario can name."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from patronus.sim.topology.maps import Map

_IN_FULL: Final = 3
"""So few maps are shown with their whole source and terms."""


@click.command()
@click.argument("words", nargs=-1, metavar="[WORD]…")
def command(words: tuple[str, ...]) -> int:
    """List the maps, or those whose names hold all the WORDs.

    Shipped ones come with their source; those of the topohub package are listed when
    it is installed.
    """
    from patronus.sim.topology.maps import load_map, shipped_maps, topohub_maps

    maps = [load_map(name) for name in _meant(shipped_maps(), words)]
    lines = _shipped(maps)
    installed = topohub_maps()
    others = _meant(installed, words)
    lines += [""] if lines and others else []
    lines += others
    if not installed:
        lines += ["", "Some 700 more with the topohub package: pip install 'patronus[maps]'"]
    if not maps and not others:
        lines.insert(0, "No map has such a name.")
    click.echo("\n".join(lines))
    return 0


def _meant(names: Sequence[str], words: tuple[str, ...]) -> list[str]:
    return [name for name in names if all(w.casefold() in name.casefold() for w in words)]


def _shipped(maps: "Sequence[Map]") -> list[str]:
    from patronus.control.tables import first_sentence, indented, table

    if not maps:
        return []
    rows = [("map", "nodes", "links", "")]
    rows += [(m.name, str(len(m.nodes)), str(len(m.links)), first_sentence(m.source)) for m in maps]
    lines = table(rows, right=(1, 2))
    for m in maps if len(maps) <= _IN_FULL else ():
        lines += ["", f"{m.name}:", *indented([m.source, f"Terms: {m.licence}"])]
    return lines

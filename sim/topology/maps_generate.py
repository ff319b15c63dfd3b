"""Convert maps of the Internet Topology Zoo, as the topohub package holds them, to ours.

    python -m patronus.sim.topology.maps_generate sim/maps

writes the shipped maps anew. The Zoo's authors publish it under CC BY 4.0, which
asks for their names, the licence and a word on what was changed: each file holds
all three. What is changed: parallel links become one, internal codes of places
become the cities' names, a few misspelt names are corrected.
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from patronus.sim.topology.maps import Map, load_map

LICENCE: Final = "CC-BY-4.0, https://creativecommons.org/licenses/by/4.0/"

SOURCE: Final = (
    "{network}. From The Internet Topology Zoo by S. Knight, H. X. Nguyen, N. Falkner, R. Bowden "
    "and M. Roughan (IEEE JSAC 29(9), 2011), https://github.com/mroughan/InternetTopologyZoo, "
    "through topohub by P. Jurkiewicz, https://www.topohub.org. Changed: parallel links merged, "
    "some names of places."
)


@dataclass(frozen=True, slots=True)
class Choice:
    """One map to ship: its name in the Zoo, what it is, and names to change."""

    key: str
    network: str
    names: Mapping[str, str] = field(default_factory=dict)


CHOSEN: Final[Mapping[str, Choice]] = {
    "aarnet": Choice(
        "Aarnet",
        "AARNet3, Australia's research network, August 2010",
        {
            f"{city}{n}": f"{city} {n}"
            for city in ("Adelaide", "Brisbane", "Canberra", "Melbourne", "Perth", "Sydney")
            for n in (1, 2)
        },
    ),
    "abilene": Choice("Abilene", "Abilene, Internet2's backbone in the USA, February 2005"),
    "aconet": Choice(
        "Aconet",
        "ACOnet, Austria's research network, June 2009",
        {"St. Polten": "St Polten"}
        | {
            f"{city}{n}": f"{city} {n}"
            for city in ("Graz", "Innsbruck", "Klagenfurt", "Linz", "Salzburg", "Vienna")
            for n in (1, 2)
        },
    ),
    "arpanet-1970": Choice(
        "Arpanet19706",
        "ARPANET, June 1970",
        {"HARVARD": "Harvard", "UTAH": "Utah"},
    ),
    "att": Choice(
        "AttMpls",
        "AT&T's OC-768 backbone in the USA, 2007-2008",
        {
            "ATLN": "Atlanta",
            "CHCG": "Chicago",
            "CLEV": "Cleveland",
            "CMBR": "Cambridge",
            "DLLS": "Dallas",
            "DNVR": "Denver",
            "HSTN": "Houston",
            "KSCY": "Kansas City",
            "LA03": "Los Angeles",
            "NSVL": "Nashville",
            "NWOR": "New Orleans",
            "NY54": "New York",
            "ORLD": "Orlando",
            "PHLA": "Philadelphia",
            "PHNX": "Phoenix",
            "PTLD": "Portland",
            "RLGH": "Raleigh",
            "SCRM": "Sacramento",
            "SLKC": "Salt Lake City",
            "SNAN": "San Antonio",
            "SNDG": "San Diego",
            "SNFN": "San Francisco",
            "STLS": "St Louis",
            "STTL": "Seattle",
            "WASH": "Washington DC",
        },
    ),
    "bics": Choice(
        "Bics",
        "BICS, a carriers' carrier in Europe, January 2011",
        {"Ljubjana": "Ljubljana", "Praha": "Prague", "Roma": "Rome"},
    ),
    "biznet": Choice(
        "Biznet",
        "Biznet's network between the cities of Java and Bali, January 2011",
        {"Banyunwangi": "Banyuwangi", "Madium": "Madiun"},
    ),
    "bso-europe": Choice("BsonetEurope", "BSO Network Solutions in Europe, January 2011"),
    "canarie": Choice(
        "Canerie",
        "CANARIE, Canada's research network, May 2010",
        {"Windsor/Detroit": "Windsor"},
    ),
    "geant-2012": Choice(
        "Geant2012",
        "GÉANT, which joins Europe's research networks, March 2012; places are countries",
        {"SL": "SI"},
    ),
    "nsfnet": Choice(
        "Nsfnet",
        "NSFNET's T1 backbone in the USA, late 1980s (the map has no date)",
        {
            "BARRnet, Palo Alto": "Palo Alto",
            "Cornell Theory Center, Ithaca NY": "Ithaca",
            "Jon Von Neumann Center, Princeton, NJ": "Princeton",
            "MIDnet, Lincoln, NE": "Lincoln",
            "Merit Univ of Michigan, Ann Arbor": "Ann Arbor",
            "NCAR, Boulder": "Boulder",
            "NCSA, University of Illinois, Champaign": "Champaign",
            "NorthWestNet, Seattle": "Seattle",
            "Pittsburgh Supercomputer Center": "Pittsburgh",
            "SEQSUINET, Rice University, Houston": "Houston",
            "SURANET, Georgia Tech, Atlanta": "Atlanta",
            "San Diego Supercomputer Center": "San Diego",
            "Westnet, Salt Lake City": "Salt Lake City",
        },
    ),
    "pionier": Choice(
        "PionierL3",
        "PIONIER, Poland's research network, July 2011",
        {"Czechtochowa": "Czestochowa", "Warszawa": "Warsaw", "Zielona gora": "Zielona Gora"},
    ),
    "renater-2006": Choice(
        "Renater2006",
        "RENATER, France's research network, November 2006",
        {"Poiters": "Poitiers"},
    ),
    "sanren": Choice("Sanren", "SANReN, South Africa's research network, March 2011"),
    "sprint": Choice(
        "Sprint",
        "Sprint's backbone in the USA, 1990s (the map has no date)",
        {"New York (Pennsauken)": "Pennsauken", "Washington, DC": "Washington DC"},
    ),
}


def convert(name: str, choice: Choice) -> dict[str, Any]:
    """Return one map in our form."""
    source = load_map(f"topohub:topozoo/{choice.key}")
    nodes = tuple(choice.names.get(node, node) for node in source.nodes)
    order = sorted(range(len(nodes)), key=lambda i: nodes[i])
    return {
        "name": name,
        "source": SOURCE.format(network=choice.network),
        "licence": LICENCE,
        "nodes": [_node(nodes[i], source, i) for i in order],
        "links": sorted(sorted((nodes[a], nodes[b])) for a, b in source.links),
    }


def _node(name: str, source: Map, i: int) -> dict[str, Any]:
    latitude, longitude = source.places[i]
    return {"name": name, "lat": latitude / 1_000_000, "lon": longitude / 1_000_000}


def text(data: Mapping[str, Any]) -> str:
    """Return a map as JSON, a line for each node and link."""

    def line(value: object) -> str:
        return json.dumps(value, ensure_ascii=False)

    head = "".join(f"  {line(k)}: {line(data[k])},\n" for k in ("name", "source", "licence"))
    lists = (f'  "{k}": [\n    ' + ",\n    ".join(map(line, data[k])) for k in ("nodes", "links"))
    return f"{{\n{head}" + "\n  ],\n".join(lists) + "\n  ]\n}\n"


def main(folder: str) -> None:
    """Write all chosen maps into a folder."""
    for name, choice in CHOSEN.items():
        path = Path(folder) / f"{name}.json"
        path.write_text(text(convert(name, choice)), encoding="utf-8")
        print(path)


if __name__ == "__main__":
    main(*sys.argv[1:])

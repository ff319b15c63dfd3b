"""Maps: every shipped one, every one of topohub, and what is wrong with bad ones."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest

from patronus.sim.topology import load_map, shipped_maps, topohub_maps
from patronus.sim.topology.maps import Map, _topohub_keys, from_topohub, map_of
from patronus.sim.topology.maps_generate import CHOSEN, convert, main, text
from patronus.sim.topology.sphere import distances
from tests.rules.tree import ROOT

TRIANGLE = Map(
    "triangle", "drawn", "none", ("a", "b", "c"), ((0, 0), (0, 9), (9, 0)), ((0, 1), (1, 2))
)


def table_row(name: str) -> str:
    """Return the line of the documentation's table that is right for a map."""
    chart = load_map(name)
    lengths = distances(chart.position[chart.ends[:, 0]], chart.position[chart.ends[:, 1]])
    graph: nx.Graph[int] = nx.Graph(chart.links)
    numbers = (len(chart.nodes), len(chart.links), len(list(nx.bridges(graph))))
    longest = f"{lengths.max() // 1000:,}"
    return " | ".join(map(str, (f"| `{name}`", CHOSEN[name].network, *numbers, f"{longest} |")))


def test_the_shipped_maps_are_many_and_documented() -> None:
    """At least ten come with the package; the documentation's table is what they hold."""
    documented = (ROOT / "docs" / "topologies.md").read_text().splitlines()
    assert len(shipped_maps()) >= 10
    assert [row for row in map(table_row, shipped_maps()) if row not in documented] == []


@pytest.mark.parametrize("name", shipped_maps())
def test_a_shipped_map_is_sound(name: str) -> None:
    """It says where it is from and on what terms, and is a connected graph on the Earth."""
    chart = load_map(name)
    assert chart.name == name
    assert "Topology Zoo" in chart.source
    assert chart.licence.startswith("CC-BY-4.0")
    assert nx.is_connected(nx.Graph(chart.links))
    assert 7 <= len(chart.nodes) <= 40
    lengths = distances(chart.position[chart.ends[:, 0]], chart.position[chart.ends[:, 1]])
    assert lengths.max() < 5_000_000
    assert load_map(f"map:{name}") == chart


def test_the_shipped_maps_are_what_the_converter_makes(tmp_path: Path) -> None:
    """Nobody edited one by hand."""
    main(str(tmp_path))
    assert sorted(file.stem for file in tmp_path.iterdir()) == shipped_maps() == sorted(CHOSEN)
    for file in tmp_path.iterdir():
        assert file.read_text() == (ROOT / "sim" / "maps" / file.name).read_text()


def test_a_converted_map_keeps_its_graph() -> None:
    """Renaming and sorting nodes changes neither places nor cables."""
    before, after = load_map("topohub:topozoo/Sprint"), load_map("sprint")
    assert sorted(before.places) == sorted(after.places)
    lengths = [
        sorted(distances(m.position[m.ends[:, 0]], m.position[m.ends[:, 1]]).tolist())
        for m in (before, after)
    ]
    assert lengths[0] == lengths[1]
    data = convert("sprint", CHOSEN["sprint"])
    assert json.loads(text(data)) == data


def mistake(name: str) -> str:
    """Return what is wrong with a map, "" for a sound one."""
    try:
        load_map(name)
    except ValueError as error:
        return str(error)
    return ""


def test_every_usual_map_of_topohub_loads() -> None:
    """All of the Zoo, SNDlib and the backbones, but those that are too large, are usable."""
    kinds = ("topohub:topozoo/", "topohub:sndlib/", "topohub:backbone/")
    names = [name for name in topohub_maps() if name.startswith(kinds)]
    assert len(names) > 200
    found = {name: mistake(name) for name in names}
    bad = {name: told for name, told in found.items() if told}
    assert len(bad) < 10
    assert all("nodes, not 1 to 1000" in told for told in bad.values())


def test_plane_maps_are_laid_out_in_kilometres() -> None:
    """A map that lies in a plane keeps its lengths: one unit is one kilometre."""
    chart = load_map("topohub:gabriel/25/0")
    nodes = [{"id": i, "name": f"n{i}", "pos": pos} for i, pos in enumerate([(0, 0), (300, 400)])]
    data = {"nodes": nodes, "edges": [{"source": 0, "target": 1, "dist": 500.0}]}
    plane = from_topohub("plane", data)
    assert distances(plane.position[:1], plane.position[1:])[0] == pytest.approx(500_000, rel=0.001)
    assert np.abs(chart.position).max() < 10_000_000


def topohub_data(*names: str | None) -> dict[str, Any]:
    nodes = [{"id": i, "name": name, "pos": (i, 50)} for i, name in enumerate(names)]
    links = range(1, len(names))
    return {"nodes": nodes, "edges": [{"source": 0, "target": i, "dist": 70 * i} for i in links]}


def test_nodes_without_a_name_of_their_own_get_one() -> None:
    """Missing names and shared ones are made distinct; a name that is taken is not reused."""
    chart = from_topohub("x", topohub_data("A", None, "A", "A  2", "A", " B\n "))
    assert chart.nodes == ("A", "node 1", "A 3", "A 2", "A 4", "B")


def test_parallel_cables_become_one() -> None:
    """A link that is there twice, and one from a node to itself, do no harm."""
    data = topohub_data("A", "B")
    data["edges"] += [{"source": 1, "target": 0, "dist": 70}, {"source": 1, "target": 1, "dist": 0}]
    assert from_topohub("x", data).links == ((0, 1),)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("abilen", "no map `abilen`; did you mean `abilene`"),
        ("map:sanrem", "no map `sanrem`; did you mean `sanren`"),
        ("zzzzz", "no map `zzzzz`; known: aarnet, abilene, "),
        ("../maps/abilene", "there is no map"),
        ("topohub:topozoo/abilene", "did you mean `topohub:topozoo/Abilene`"),
        ("topohub:../data/topozoo/Abilene", "there is no map"),
        ("topohub:backbone/world", "has 3815 nodes, not 1 to 1000"),
    ],
)
def test_a_map_that_cannot_be_had_is_told(name: str, message: str) -> None:
    """A misspelt name comes back with the nearest one."""
    with pytest.raises(ValueError, match=message):
        load_map(name)


def test_a_missing_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without topohub its maps ask for it, the shipped ones stay, and the list is empty."""
    monkeypatch.setitem(sys.modules, "topohub", None)
    load_map.cache_clear()
    _topohub_keys.cache_clear()
    assert topohub_maps() == []
    with pytest.raises(ValueError, match=r"needs the topohub package: pip install 'patronus\[maps"):
        load_map("topohub:topozoo/Abilene")
    assert load_map("abilene").nodes[0] == "Atlanta"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nodes": (), "places": (), "links": ()}, "has 0 nodes"),
        ({"nodes": ("a", "b", "a")}, "two nodes called 'a'"),
        ({"places": ((0, 0), (90_000_001, 0), (0, 0))}, "b does not lie on the Earth"),
        ({"places": ((0, 0), (0, 0), (0, -180_000_001))}, "c does not lie on the Earth"),
        ({"links": ((0, 1), (1, 1))}, "two different nodes"),
        ({"links": ((0, 1), (1, 3))}, "two different nodes"),
        ({"links": ((0, 1), (-1, 2))}, "two different nodes"),
        ({"links": ((0, 1), (1, 2), (1, 0))}, "a link is there twice"),
        ({"links": ((0, 1),)}, r"triangle falls into 2 parts: c \| a, b"),
    ],
)
def test_an_unsound_map_is_refused(change: dict[str, Any], message: str) -> None:
    """Whatever the generators rely on is checked, with the name of the map."""
    with pytest.raises(ValueError, match=message):
        replace(TRIANGLE, **change)


def test_our_form_names_the_ends_of_links() -> None:
    """Our JSON gives degrees, and links by the names of nodes."""
    nodes = [{"name": "B", "lat": -1.5, "lon": 2}, {"name": "A", "lat": 0.000001, "lon": -0.1}]
    data = {"name": "x", "source": "s", "licence": "l", "nodes": nodes, "links": [["A", "B"]]}
    assert map_of(data) == Map(
        "x", "s", "l", ("B", "A"), ((-1_500_000, 2_000_000), (1, -100_000)), ((1, 0),)
    )

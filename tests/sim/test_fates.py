"""Shared risk as bits: the groups that a tunnel's own links are in, on its present route."""

from dataclasses import replace

import numpy as np

from patronus.sim.fates import row_fates
from patronus.sim.faults.compile import compile_faults
from patronus.sim.faults.effects import effects
from patronus.sim.faults.outages import mutes
from patronus.sim.wire import Wire
from tests.sim.handmade import SITES, Network, make_network, make_scenario


def links_named(network: Network, name: str) -> tuple[int, ...]:
    """Return both directions of a cable."""
    return tuple(n for n, x in enumerate(network.underlay.links.names) if x == name)


def wire_of(network: Network, groups: dict[str, tuple[int, ...]]) -> Wire:
    underlay = replace(network.underlay, groups=groups)
    calm = compile_faults(make_scenario(), Network(network.overlay, underlay), 1)
    shaped = effects(calm, underlay.links, 1)
    return Wire(network.overlay, underlay, shaped, mutes(calm, network.overlay), 1)


def test_a_group_marks_the_tunnels_over_its_links() -> None:
    """A duct that holds two access links is shared by exactly the tunnels that use them."""
    network = make_network()
    duct = links_named(network, "access:berlin:mpls") + links_named(network, "access:oslo:lte")
    fates = row_fates(wire_of(network, {"duct": duct}))
    assert fates.shape == (network.overlay.rows, 1)
    for row in range(network.overlay.rows):
        name = network.overlay.label(row)
        inside = ("berlin" in name and name.endswith("mpls")) or (
            "oslo" in name and name.endswith("lte")
        )
        assert int(fates[row, 0]) == int(inside)


def test_groups_are_numbered_by_name_over_as_many_words_as_it_takes() -> None:
    """The seventieth of seventy groups is bit 5 of the second word, whatever order they came in."""
    network = make_network()
    names = [f"g{n:02}" for n in range(70)]
    berlin, oslo = (links_named(network, f"access:{s}:mpls") for s in ("berlin", "oslo"))
    groups = {name: berlin if name == "g69" else oslo for name in reversed(names)}
    wire = wire_of(network, groups)
    fates = row_fates(wire)
    assert fates.shape == (network.overlay.rows, 2)
    there = network.overlay.direct(SITES.index("berlin"), SITES.index("rome"))[0]
    assert [int(word) for word in fates[there]] == [0, 1 << 5]
    both = network.overlay.direct(SITES.index("berlin"), SITES.index("oslo"))[0]
    assert [int(word) for word in fates[both]] == [2**64 - 1, 2**6 - 1]


def test_some_rows_are_those_of_all() -> None:
    """Asked for a few rows it says the same of them."""
    network = make_network()
    wire = wire_of(network, {"duct": links_named(network, "access:rome:lte")})
    rows = np.array([3, 5, 20], dtype=np.int64)
    assert np.array_equal(row_fates(wire, rows), row_fates(wire)[rows])


def test_fates_follow_the_route() -> None:
    """Where the carrier's own cable is in a group, a reroute around it takes tunnels out of it."""
    network = make_network()
    pop = network.underlay.pop.copy()
    pop[SITES.index("berlin")] = 1  # a node away from all others
    network = Network(network.overlay, replace(network.underlay, pop=pop))
    cable = links_named(network, "mpls:n0-n1")
    wire = wire_of(network, {"sea": cable})
    mine = network.overlay.direct(SITES.index("berlin"), SITES.index("oslo"))[0]
    other = network.overlay.direct(SITES.index("rome"), SITES.index("oslo"))[0]
    assert [int(row_fates(wire)[row, 0]) for row in (mine, other)] == [1, 0]
    changed = wire.reroute(0, frozenset(cable))
    assert mine in changed.tolist()
    assert int(row_fates(wire)[mine, 0]) == 0

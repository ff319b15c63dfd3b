"""The plan leads from any state to the wanted one, by a safe order, and touches only ours."""

from dataclasses import replace
from ipaddress import ip_address
from socket import AF_INET, AF_INET6

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.routedump import RTN_UNREACHABLE, Route
from patronus.dataplane.underlay.pinning import (
    FAMILIES,
    LAST_METRIC,
    BadPins,
    Pin,
    Present,
    Rule,
    State,
    check,
    plan,
    statuses,
)

PINS = (
    Pin(transport="wan1", interface="eth1", mark=0x0100_0000, table=1001, vxlan_port=4789),
    Pin(transport="wan2", interface="eth2", mark=0x0200_0000, table=1002),
)
GATEWAYS = [ip_address(a) for a in ("10.1.0.1", "10.1.0.254", "fd01::1", "fe80::1")]
OWN = [(ip_address("10.1.0.2"), 24), (ip_address("10.9.0.2"), 32), (ip_address("fd01::2"), 64)]

links = st.fixed_dictionaries(
    {},
    optional={
        "eth1": st.tuples(st.integers(2, 3), st.booleans()),
        "eth2": st.tuples(st.integers(4, 5), st.booleans()),
    },
)
addresses = st.lists(
    st.tuples(st.integers(2, 5), st.sampled_from(OWN)).map(lambda t: (t[0], *t[1])),
    max_size=4,
    unique=True,
).map(tuple)
defaults = st.lists(
    st.builds(
        lambda gateway, oif, metric: Route(
            AF_INET if gateway.version == 4 else AF_INET6,
            None,
            0,
            254,
            16,
            oif=oif,
            gateway=gateway,
            metric=metric,
        ),
        st.sampled_from(GATEWAYS),
        st.integers(2, 5),
        st.integers(0, 300),
    ),
    max_size=4,
).map(tuple)
worlds = st.builds(Present, links, addresses, defaults, st.just(frozenset()), st.just(frozenset()))


def applied(present: Present, pins: tuple[Pin, ...]) -> Present:
    """Return what is present once a plan is carried out, checking its order on the way."""
    rules, routes = set(present.rules), set(present.routes)
    for step in plan(pins, present):
        pool: set[Rule] | set[Route] = rules if isinstance(step.what, Rule) else routes
        assert step.add != (step.what in pool), "a step that changes nothing"
        change = pool.add if step.add else pool.discard
        change(step.what)  # type: ignore[arg-type]  # a rule into rules, a route into routes
        for rule in rules:
            assert ends(routes, rule.family, rule.table), "a rule whose table has no end"
    return replace(present, rules=frozenset(rules), routes=frozenset(routes))


def ends(routes: set[Route], family: int, table: int) -> bool:
    return any(
        r.type == RTN_UNREACHABLE and (r.family, r.table, r.dst) == (family, table, None)
        for r in routes
    )


@given(worlds, worlds)
def test_any_world_is_reached_from_any_other(before: Present, after: Present) -> None:
    """Whatever changed, one plan repairs it, a second is empty, and no rule is ever open-ended."""
    old = applied(before, PINS)
    new = applied(replace(after, rules=old.rules, routes=old.routes), PINS)
    assert plan(PINS, new) == []
    assert new == applied(after, PINS)
    gone = applied(new, ())
    assert (gone.rules, gone.routes) == (frozenset(), frozenset())


@given(worlds)
def test_a_table_leads_over_its_own_interface_only(world: Present) -> None:
    """No route of a table names another interface, and each table ends for both families."""
    for pin in PINS:
        index, up = world.links.get(pin.interface, (0, False))
        made = [r for r in applied(world, PINS).routes if r.table == pin.table]
        assert {r.oif for r in made if r.type != RTN_UNREACHABLE} <= ({index} if up else set())
        for family in FAMILIES:
            assert ends(set(made), family, pin.table)
            last = max((r for r in made if r.family == family), key=lambda r: r.metric)
            assert (last.type, last.metric) == (RTN_UNREACHABLE, LAST_METRIC)


@given(worlds)
def test_the_status_says_what_the_table_can_do(world: Present) -> None:
    """A transport is pinned exactly if its table has a default route; the versions agree."""
    routes = applied(world, PINS).routes
    for pin, status in zip(PINS, statuses(PINS, world), strict=True):
        ways = {
            4 if r.family == AF_INET else 6
            for r in routes
            if r.table == pin.table and r.dst is None and r.type != RTN_UNREACHABLE
        }
        assert status.versions == ways
        assert status.state is not State.PINNED or ways


@given(worlds)
def test_a_gateway_is_one_that_its_own_interface_offers(world: Present) -> None:
    """No table takes over what the main table says of another interface."""
    offered = {(r.oif, r.family, r.gateway) for r in world.defaults}
    made = [r for r in applied(world, PINS).routes if r.gateway is not None]
    assert {(r.oif, r.family, r.gateway) for r in made} <= offered


@given(worlds)
def test_flushed_tables_get_their_end_first(world: Present) -> None:
    """While rules lead to an empty table, nothing is repaired before what holds packets back."""
    pinned = applied(world, PINS)
    steps = plan(PINS, replace(pinned, routes=frozenset()))
    kinds = [isinstance(s.what, Route) and s.what.type == RTN_UNREACHABLE for s in steps]
    assert kinds == sorted(kinds, reverse=True)
    assert sum(kinds) == len(PINS) * len(FAMILIES)


def world(**links: tuple[int, bool]) -> Present:
    return Present(dict(links), (), (), frozenset(), frozenset())


def test_each_lack_has_its_name() -> None:
    """Interface, link, address and gateway are told apart."""
    address = (2, ip_address("10.1.0.2"), 24)
    gateway = Route(AF_INET, None, 0, 254, 16, oif=2, gateway=GATEWAYS[0])
    up = world(eth1=(2, True))
    for present, state in (
        (world(), State.NO_INTERFACE),
        (world(eth1=(2, False)), State.DOWN),
        (up, State.NO_ADDRESS),
        (replace(up, addresses=(address,)), State.NO_GATEWAY),
        (replace(up, addresses=(address,), defaults=(gateway,)), State.PINNED),
    ):
        assert statuses(PINS[:1], present)[0].state is state


def test_a_configured_gateway_wins() -> None:
    """What the main table says of that family does not count then; the other family's does."""
    pin = replace(PINS[0], gateways=(GATEWAYS[1],))
    present = replace(
        world(eth1=(2, True)),
        defaults=(
            Route(AF_INET, None, 0, 254, 16, oif=2, gateway=GATEWAYS[0]),
            Route(AF_INET6, None, 0, 254, 9, oif=2, gateway=GATEWAYS[3]),
        ),
    )
    found = {r.gateway for r in applied(present, (pin,)).routes}
    assert found == {None, GATEWAYS[1], GATEWAYS[3]}


def test_the_best_default_of_the_interface_counts() -> None:
    """Of several, the one with the lowest metric; an unreachable one is no gateway."""
    offered = tuple(
        Route(AF_INET, None, 0, 254, 16, oif=2, gateway=gateway, metric=metric)
        for gateway, metric in ((GATEWAYS[0], 200), (GATEWAYS[1], 100))
    )
    dead = Route(AF_INET, None, 0, 254, 16, type=RTN_UNREACHABLE, oif=2, metric=1)
    present = replace(world(eth1=(2, True)), defaults=(dead, *offered))
    ways = [r.gateway for r in applied(present, PINS[:1]).routes if r.oif]
    assert ways == [GATEWAYS[1]]


@pytest.mark.parametrize(
    ("pins", "message"),
    [
        ([replace(PINS[0], table=254)], "table 254 is the system's"),
        ([replace(PINS[0], table=2**32)], "is the system's"),
        ([replace(PINS[0], mark=1)], "mark 0x1 is not within the mask 0x3f000000"),
        ([replace(PINS[0], mark=0)], "mark 0x0 is not within"),
        ([replace(PINS[0], vxlan_port=65_536)], "port 65536 is not one of"),
        ([replace(PINS[0], gateways=tuple(GATEWAYS[:2]))], "two gateways of one version"),
        ([PINS[0], replace(PINS[1], transport="wan1")], "two transports have the same transport"),
        ([PINS[0], replace(PINS[1], interface="eth1")], "the same interface: eth1"),
        ([PINS[0], replace(PINS[1], table=1001)], "the same table: 1001"),
        ([PINS[0], replace(PINS[1], mark=PINS[0].mark)], "the same mark: 16777216"),
        ([PINS[0], replace(PINS[1], mask=0x0F00_0000)], "different masks"),
    ],
)
def test_pins_that_cannot_work_are_named(pins: list[Pin], message: str) -> None:
    """Each is one clear message before anything is touched."""
    check(PINS)
    with pytest.raises(BadPins, match=message):
        check(pins)

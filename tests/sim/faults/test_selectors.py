"""Selectors resolve to the right links and sites, and say so when they cannot."""

from collections.abc import Sequence
from itertools import pairwise

import pytest

from patronus.engine.units import PPM
from patronus.sim.faults.kinds import KINDS, Target
from patronus.sim.faults.selectors import FaultError, Hit, directed, select
from patronus.sim.scenario import Direction, FaultKind, FaultSpec, Selector
from tests.sim.handmade import SITES, Network, make_fault, make_network, make_scenario

NETWORK = make_network(
    without=[("rome", "lte")],
    groups={"conduit": (0, 1, 18, 19), "oneway": (4,)},
)
NAMES = NETWORK.underlay.links.names
SCENARIO = make_scenario()


def hits(fault: FaultSpec, network: Network = NETWORK, seed: int = 1) -> tuple[Hit, ...]:
    """Select the targets of a fault."""
    return select(fault, SCENARIO, network, seed)


def names(kind: FaultKind = FaultKind.BLACKHOLE, seed: int = 1, **parts: object) -> list[str]:
    """Return the names of what a selector of the given parts matches."""
    selector = Selector(**parts)  # type: ignore[arg-type]  # parts of Selector
    return [hit.name for hit in hits(make_fault(kind, select=selector), seed=seed)]


# ---------------------------------------------------------------- sets


def test_sites_times_transports_are_access_links() -> None:
    """The product of sites and transports gives the access links that exist."""
    assert names(sites=("berlin", "rome"), transports=("*",)) == [
        "access:berlin:mpls", "access:berlin:lte", "access:rome:mpls",
    ]  # fmt: skip
    assert names(sites=("spokes",), transports=("lte",)) == [
        "access:berlin:lte", "access:oslo:lte",
    ]  # fmt: skip


def test_a_missing_factor_means_all() -> None:
    """Sites alone mean all their transports, transports alone all sites that have them."""
    assert names(sites=("hubs",)) == [f"access:hub{n}:{t}" for n in (1, 2) for t in ("mpls", "lte")]
    assert names(transports=("lte",)) == [f"access:{s}:lte" for s in SITES if s != "rome"]


def test_an_access_target_holds_both_directions() -> None:
    """The links of an access target are its up and its down link."""
    (hit,) = hits(make_fault(select=Selector(sites=("oslo",), transports=("lte",))))
    assert hit.links == (NETWORK.underlay.up[3, 1], NETWORK.underlay.down[3, 1])
    assert hit.site == -1


def test_links_groups_and_providers() -> None:
    """Provider links go by name or pattern, groups and providers by theirs."""
    assert names(links=("mpls:n0-*",)) == ["mpls:n0-n1", "mpls:n0-n2"]
    assert names(links=("access:oslo:*", "lte:n1-n2")) == [
        "access:oslo:mpls", "access:oslo:lte", "lte:n1-n2",
    ]  # fmt: skip
    assert names(groups=("con*",)) == ["group:conduit"]
    assert names(providers=("lte",)) == ["provider:lte"]


def test_a_star_of_links_means_the_providers() -> None:
    """``*`` among links leaves access links alone."""
    found = hits(make_fault(select=Selector(links=("*",))))
    assert {hit.name.split(":")[0] for hit in found} == {"mpls", "lte"}
    assert len(found) == 6
    assert all(link % 2 == 0 for link in directed(found, Direction.OUT))


def test_what_is_named_twice_is_one_target() -> None:
    """An access link named by site and by link is hit once."""
    assert names(sites=("oslo",), transports=("lte",), links=("access:oslo:lte",)) == [
        "access:oslo:lte"
    ]


def test_provider_is_its_cables_and_an_outage_its_access_links_too() -> None:
    """A provider's loss is on its own links; its outage takes every access link to it."""
    (core,) = hits(make_fault(select=Selector(providers=("mpls",))))
    (whole,) = hits(make_fault(FaultKind.PROVIDER_OUTAGE, select=Selector(providers=("mpls",))))
    assert {NAMES[i].split(":")[0] for i in core.links} == {"mpls"}
    assert len(core.links) == 6
    assert {NAMES[i] for i in set(whole.links) - set(core.links)} == {
        f"access:{site}:mpls" for site in SITES
    }
    assert len(whole.links) == 6 + 2 * len(SITES)


def test_sites_of_site_faults() -> None:
    """A site fault hits sites, with all their access links."""
    (hit,) = hits(make_fault(FaultKind.SITE_CRASH, select=Selector(sites=("rome",))))
    assert (hit.name, hit.site) == ("site:rome", 4)
    assert [NAMES[i] for i in hit.links] == ["access:rome:mpls"] * 2


def test_a_drain_skips_sites_without_the_transport() -> None:
    """Draining a transport means the sites that have it; none at all is an error."""
    select_lte = Selector(sites=("spokes",), transports=("lte",))
    assert [h.name for h in hits(make_fault(FaultKind.DRAIN, select=select_lte))] == [
        "site:berlin", "site:oslo",
    ]  # fmt: skip
    with pytest.raises(FaultError, match="none of the selected sites has"):
        hits(make_fault(FaultKind.DRAIN, select=Selector(sites=("rome",), transports=("lte",))))
    with pytest.raises(FaultError, match="none of the selected sites has"):
        hits(make_fault(select=Selector(sites=("rome",), transports=("lte",))))


# ---------------------------------------------------------------- directions


@pytest.mark.parametrize(
    ("direction", "links"),
    [
        (Direction.OUT, (0, 8, 18)),
        (Direction.IN, (1, 9, 19)),
        (Direction.BOTH, (0, 1, 8, 9, 18, 19)),
    ],
)
def test_direction_is_seen_from_the_site_or_the_first_end(
    direction: Direction, links: tuple[int, ...]
) -> None:
    """Out is up an access link and forward on a provider's cable, in groups as well."""
    assert [NAMES[i] for i in (0, 8, 18)] == [
        "access:hub1:mpls",
        "access:berlin:mpls",
        "mpls:n0-n1",
    ]
    selector = Selector(groups=("conduit",), links=("access:berlin:mpls",))
    found = hits(make_fault(select=selector))
    assert directed(found, direction) == links


def test_direction_follows_up_and_down_not_parity() -> None:
    """Where an access cable's even link leads down to the site, it counts as in."""
    network = make_network()
    network.underlay.up[2, 0], network.underlay.down[2, 0] = 9, 8
    found = hits(make_fault(select=Selector(sites=("berlin",), transports=("mpls",))), network)
    assert directed(found, Direction.OUT) == (9,)
    network.underlay.groups.update(lone=(8, 9))  # type: ignore[attr-defined]  # a dict here
    grouped = hits(make_fault(select=Selector(groups=("lone",))), network)
    assert directed(grouped, Direction.IN) == (8,)


@pytest.mark.parametrize(("word", "out"), [("mpls:n0-n1", (18,)), ("mpls:n1-n0", (19,))])
def test_direction_is_out_of_the_end_named_first(word: str, out: tuple[int, ...]) -> None:
    """A provider's cable may be named from either end, which is then its first."""
    found = hits(make_fault(select=Selector(links=(word,))))
    assert [hit.name for hit in found] == ["mpls:n0-n1"]
    assert directed(found, Direction.OUT) == out
    assert directed(found, Direction.IN) == (37 - out[0],)


# ---------------------------------------------------------------- how many


def test_modes_take_so_many() -> None:
    """One, a count and a percentage take that many of the matches, in the matches' order."""
    every = names(sites=("*",))
    assert len(every) == 9
    for mode, amount, size in [
        ("one", 0, 1), ("all", 0, 9), ("count", 4, 4), ("percent", 500_000, 5),
        ("percent", PPM, 9), ("percent", 1, 1), ("percent", 160_000, 1), ("percent", 170_000, 2),
    ]:  # fmt: skip
        found = names(sites=("*",), mode=mode, amount=amount)
        assert len(found) == size
        assert found == [name for name in every if name in found]


def test_more_taken_is_a_superset() -> None:
    """Taking one more keeps those that were taken before."""
    taken = [set(names(sites=("*",), mode="count", amount=n)) for n in range(1, 10)]
    assert all(a < b for a, b in pairwise(taken))


def test_choice_is_keyed_by_fault_and_seed() -> None:
    """Over many seeds or fault names every match is chosen about equally often."""
    selector = Selector(transports=("mpls",), mode="one")
    by_seed = [hits(make_fault(select=selector), seed=s)[0].name for s in range(200)]
    by_name = [hits(make_fault(name=f"f{i}", select=selector))[0].name for i in range(200)]
    for chosen in (by_seed, by_name):
        counts = [chosen.count(f"access:{site}:mpls") for site in SITES]
        assert min(counts) > 20


def test_another_site_changes_a_choice_only_by_winning() -> None:
    """Adding a site leaves the choice alone, or the new site itself is chosen."""
    larger = make_network((*SITES, "lima"))
    moved = 0
    for number in range(60):
        fault = make_fault(name=f"f{number}", select=Selector(transports=("mpls",), mode="one"))
        before, after = (hits(fault, n)[0].name for n in (make_network(), larger))
        assert after in (before, "access:lima:mpls")
        moved += after != before
    assert 0 < moved < 30


def test_groups_count_as_one() -> None:
    """One of the groups is a whole group."""
    (hit,) = hits(make_fault(select=Selector(groups=("*",), mode="one")))
    assert hit.links in [(0, 1, 18, 19), (4,)]


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("kind", "selector", "message"),
    [
        ("blackhole", Selector(), "selects nothing"),
        ("blackhole", Selector(sites=("berlim",)), "site 'berlim' matches nothing .*'berlin'"),
        ("blackhole", Selector(sites=("oslo",), transports=("mlps",)), "'mlps' .*'mpls'"),
        ("blackhole", Selector(links=("mpls:n0-n9",)), "link 'mpls:n0-n9' .*did you mean"),
        ("blackhole", Selector(groups=("conduct",)), "group 'conduct' .*did you mean 'conduit'"),
        ("blackhole", Selector(providers=("lt",)), "provider 'lt' .*did you mean 'lte'"),
        ("blackhole", Selector(sites=("*",), mode="count", amount=10), "10 of 9 matches"),
        ("blackhole", Selector(sites=("*",), mode="count"), "0 of 9 matches"),
        ("blackhole", Selector(sites=("*",), mode="percent"), "0 of 9 matches"),
        ("blackhole", Selector(sites=("*",), mode="some"), "mode 'some' is none of"),
        ("link-down", Selector(sites=("*",), direction=Direction.OUT), "has no direction"),
        ("shared-risk-cut", Selector(sites=("*",)), "not selected by sites .*by groups"),
        ("site-crash", Selector(links=("*",)), "not selected by links"),
    ],
)
def test_mistakes_name_the_fault_and_the_way_out(
    kind: str, selector: Selector, message: str
) -> None:
    """Every selector that cannot be meant so is an error naming fault, kind and cure."""
    with pytest.raises(FaultError, match=message) as error:
        hits(make_fault(FaultKind(kind), "cut-1", select=selector))
    assert str(error.value).startswith(f"fault 'cut-1' ({kind}): ")
    assert error.value.fault.name == "cut-1"


# ---------------------------------------------------------------- the table of kinds


def test_every_kind_is_in_the_table() -> None:
    """No kind of fault is forgotten, and each selects something."""
    assert set(KINDS) == set(FaultKind)
    assert all(kind.selects and kind.does and kind.quantity for kind in KINDS.values())


def fields_of(kinds: Sequence[FaultKind]) -> set[str]:
    """Return all fields that some kinds use."""
    return {field for kind in kinds for field in KINDS[kind].needs + KINDS[kind].allows}


def test_the_table_names_real_fields() -> None:
    """What kinds need and select are fields of the scenario's records."""
    assert fields_of(list(KINDS)) <= set(FaultSpec.__slots__)
    assert all(kind.selects <= set(Selector.__slots__) for kind in KINDS.values())


def test_only_cables_have_directions_and_carriers() -> None:
    """A direction or a carrier's view belongs to faults on links alone."""
    for kind in KINDS.values():
        assert kind.target is Target.LINKS or not (kind.directed or kind.carrier)

"""Offered traffic: who sends what to whom, whatever else is offered."""

from dataclasses import replace

import numpy as np
import pytest

from patronus.engine.policy import Policy, TrafficClass
from patronus.sim.scenario import TrafficSpec
from patronus.sim.traffic import Demands, TrafficError, demands
from tests.sim.handmade import SITES, Network, make_network, make_scenario

NETWORK = make_network()
POLICY = Policy(classes=(TrafficClass("voice"), TrafficClass("default")))
INTERNET = len(SITES)
SPEC = TrafficSpec("voice", ("berlin",), ("oslo",), rate_bps=100_000, packet_bytes=200)


def offered(*specs: TrafficSpec, network: Network = NETWORK, seed: int = 1) -> Demands:
    """Return what some entries of traffic offer."""
    return demands(make_scenario(traffic=specs, policy=POLICY), network, seed)


def flows(found: Demands) -> list[tuple[int, int, int, int]]:
    """Return (site, destination, class, rate) of every flow."""
    columns = found.site, found.destination, found.traffic_class, found.rate_bps
    return [(int(a), int(b), int(c), int(d)) for a, b, c, d in zip(*columns, strict=True)]


def test_both_ways_is_two_flows() -> None:
    """A pair both ways is a flow each way; one way only if so asked."""
    assert flows(offered(SPEC)) == [(2, 3, 0, 100_000), (3, 2, 0, 100_000)]
    assert flows(offered(replace(SPEC, both_ways=False))) == [(2, 3, 0, 100_000)]


def test_a_pair_is_offered_once_however_it_is_reached() -> None:
    """All to all both ways is every ordered pair once, sorted."""
    found = flows(offered(replace(SPEC, sources=("*",), destinations=SITES)))
    assert found == sorted(found)
    assert found == [(a, b, 0, 100_000) for a in range(5) for b in range(5) if a != b]


def test_patterns_and_sets() -> None:
    """Hubs, spokes and patterns mean the same as in selectors."""
    spec = replace(SPEC, sources=("spokes",), destinations=("hub*",), both_ways=False)
    assert {(a, b) for a, b, _, _ in flows(offered(spec))} == {
        (a, b) for a in (2, 3, 4) for b in (0, 1)
    }


def test_a_shared_destination_is_sent_to_and_does_not_answer() -> None:
    """What two sites announce gets traffic from the others alone, one way."""
    found = flows(offered(replace(SPEC, sources=("*",), destinations=("internet",))))
    assert [(a, b) for a, b, _, _ in found] == [(2, INTERNET), (3, INTERNET), (4, INTERNET)]


def test_entries_add_up() -> None:
    """Two entries for one pair and class are one flow of their sum; another class is its own."""
    data = replace(SPEC, traffic_class="default", both_ways=False)
    more = replace(SPEC, rate_bps=1, packet_bytes=900, both_ways=False)
    found = offered(SPEC, more, data)
    assert flows(found) == [(2, 3, 0, 100_001), (2, 3, 1, 100_000), (3, 2, 0, 100_000)]
    assert found.packet_bytes.tolist() == [900, 200, 200]


def test_nothing_offered() -> None:
    """A scenario without traffic has no flows."""
    assert flows(offered()) == []


def test_keys_are_names() -> None:
    """A flow keeps its key when sites, classes or other traffic are added."""
    mine = offered(SPEC).key.tolist()
    assert len(set(mine)) == 2
    larger = make_network(("aachen", *SITES))
    assert offered(SPEC, network=larger).key.tolist() == mine
    other = offered(SPEC, replace(SPEC, traffic_class="default", sources=("rome",)))
    assert set(mine) < set(other.key.tolist())


# ---------------------------------------------------------------- peers


def peers(network: Network = NETWORK, seed: int = 1, count: int = 2) -> dict[int, set[int]]:
    """Return who sends to whom when each site sends to some others."""
    spec = replace(SPEC, sources=("*",), destinations=SITES, peers=count, both_ways=False)
    found = offered(spec, network=network, seed=seed)
    return {s: set(found.destination[found.site == s].tolist()) for s in range(5)}


def test_each_source_has_so_many_peers() -> None:
    """Every source sends to so many others, never to itself, and to all if there are too few."""
    for source, chosen in peers().items():
        assert len(chosen) == 2
        assert source not in chosen
    assert all(chosen == set(range(5)) - {s} for s, chosen in peers(count=9).items())


def test_peers_are_keyed() -> None:
    """Another seed chooses other peers, and over many seeds every peer is chosen alike."""
    counts = np.zeros((5, 5), dtype=np.int64)
    for seed in range(100):
        for source, chosen in peers(seed=seed, count=1).items():
            counts[source, list(chosen)] += 1
    assert (counts.diagonal() == 0).all()
    assert (counts + 100 * np.eye(5, dtype=np.int64)).min() > 10


def test_a_new_site_takes_places_only_for_itself() -> None:
    """After a site is added, each source has its old peers but for those the new one displaced."""
    larger = make_network((*SITES, "lima"))
    before = peers()
    spec = replace(SPEC, sources=("*",), destinations=(*SITES, "lima"), peers=2, both_ways=False)
    found = offered(spec, network=larger)
    for source in range(5):
        after = set(found.destination[found.site == source].tolist())
        assert after - before[source] <= {5}
        assert len(after) == 2


def test_peers_both_ways_answer() -> None:
    """Chosen peers answer, so that pairs are symmetric."""
    spec = replace(SPEC, sources=("spokes",), destinations=("hubs",), peers=1)
    pairs = {(a, b) for a, b, _, _ in flows(offered(spec))}
    assert len(pairs) == 6
    assert pairs == {(b, a) for a, b in pairs}


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (replace(SPEC, traffic_class="vice"), r"no class 'vice' \(voice, default\)"),
        (replace(SPEC, sources=("berlim",)), "site 'berlim' matches nothing.*'berlin'"),
        (replace(SPEC, destinations=("intranet",)), "destination 'intranet' .*'internet'"),
        (replace(SPEC, rate_bps=0), "must be positive"),
        (replace(SPEC, packet_bytes=0), "must be positive"),
        (replace(SPEC, peers=-1), "must be positive"),
    ],
)
def test_mistakes_name_the_entry(spec: TrafficSpec, message: str) -> None:
    """An entry that offers nothing sensible is an error with its number."""
    with pytest.raises(TrafficError, match=f"^traffic 2: .*{message}"):
        offered(SPEC, spec)

"""Which failures there are, what they are called, and that files can say them."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine.units import SECOND
from patronus.sim.api import plan
from patronus.sim.faults.selectors import select
from patronus.sim.language import load
from patronus.sim.language.names import NAME
from patronus.sim.whatif.failures import SINGLE, Failure, FailureKind, name_of, singles
from patronus.sim.whatif.orders import T0_NS, WhatIfError, find, prepare
from patronus.sim.whatif.pairs import sample
from patronus.sim.whatif.writing import document
from tests.rules.tree import ROOT
from tests.sim.whatif.nurseries import SCENARIO, scenario


def every(path: Path) -> list[Failure]:
    """Return all single failures of a file."""
    given = load(path)
    return singles(given, plan(given, given.seed)[0], T0_NS)


def test_every_kind_is_found(tmp_path: Path) -> None:
    """By hand: attachments twice, two rings, two transports, a group, the conduits, all sites."""
    found = Counter(f.kind for f in every(scenario(tmp_path)))
    attached = 5 * 2 - 1
    assert found == {
        FailureKind.LINK: attached,
        FailureKind.TRANSPORT: attached,
        FailureKind.PROVIDER_LINK: 4 + 3,
        FailureKind.PROVIDER: 2,
        FailureKind.GROUP: 1,
        FailureKind.SITE: 5,
    }
    assert set(found) == set(SINGLE)


@pytest.mark.parametrize("name", ["cable-cut-rerouted", "shared-risk-cut", "satellite-handover"])
def test_files_say_what_code_says(name: str, tmp_path: Path) -> None:
    """Of each kind the written file hits the very links and sites, at the same time."""
    given = load(ROOT / "scenarios" / f"{name}.patronus.yml")
    studied, _ = prepare(given, SECOND)
    network, _ = plan(studied, studied.seed)
    kinds: set[FailureKind] = set()
    for failure in singles(given, network, T0_NS):
        if failure.kind in kinds:
            continue
        kinds.add(failure.kind)
        file = tmp_path / "deep" / "one.patronus.yml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(document(failure, given, studied, file))
        written = load(file)
        assert (written.duration_ns, written.seed) == (studied.duration_ns, given.seed)
        (fault,), (meant,) = written.faults, failure.faults
        assert replace(fault, place="") == meant
        assert select(fault, written, network, 1) == select(meant, studied, network, 1)
    assert len(kinds) >= 5


_WORD = st.text(":/ .+-_é\n*ab", min_size=1, max_size=3)
_TEXT = st.builds(lambda word, times: word * times, _WORD, st.sampled_from([1, 2, 40]))


@given(st.lists(st.lists(_TEXT, min_size=1, max_size=2), max_size=6))
def test_ids_are_names_of_faults(given: list[list[str]]) -> None:
    """Whatever sites and nodes are called, ids are unique, and files may hold them."""
    taken: set[str] = set()
    found = [name_of(("link", *parts), taken) for parts in map(tuple, given)]
    distinct = {("link", *parts) for parts in map(tuple, given)}
    assert len(set(found)) >= len(distinct)
    assert all(re.search(str(NAME.json["pattern"]), name) for name in found)
    assert all("+" not in name for name in found)


def test_pairs_are_chosen_by_names(tmp_path: Path) -> None:
    """Two things of which neither covers the other; another site moves no other pair."""
    given = load(scenario(tmp_path))
    network, _ = plan(given, given.seed)
    found = every(Path(given.path))
    few, many = (sample(found, given, network, n, 7) for n in (10, 40))
    assert [p.id for p in many[:10]] == [p.id for p in few]
    assert len({p.id for p in many}) == 40
    assert [p.id for p in sample(found[::-1], given, network, 10, 7)] == [p.id for p in few]
    assert [p.id for p in sample(found, given, network, 10, 8)] != [p.id for p in few]
    for pair in many:
        hits = [{i for hit in select(f, given, network, 1) for i in hit.links} for f in pair.faults]
        assert not hits[0] <= hits[1]
        assert not hits[1] <= hits[0]
    without = [f for f in found if "s3" not in f.id]
    kept = [p.id for p in many if "s3" not in p.id]
    assert [p.id for p in sample(without, given, network, len(kept), 7)] == kept


def test_all_pairs_if_there_are_no_more(tmp_path: Path) -> None:
    """Asking for more pairs than there are gives them all, each once."""
    given = load(scenario(tmp_path))
    network, _ = plan(given, given.seed)
    sites = [f for f in every(Path(given.path)) if f.kind is FailureKind.SITE]
    assert len(sample(sites, given, network, 1000, 1)) == 5 * 4 // 2


def test_ids_are_looked_up(tmp_path: Path) -> None:
    """A pair in either order is the same one; what nothing is called gets a suggestion."""
    given = load(scenario(tmp_path, SCENARIO))
    network, _ = plan(given, given.seed)
    one, other = find(["site.s1+link.s2.mpls", "link.s2.mpls+site.s1"], given, network)
    assert one == other
    assert [f.name for f in one.faults] == ["link.s2.mpls", "site.s1"]
    with pytest.raises(WhatIfError, match=r"did you mean site\.s1"):
        find(["site.s1+site.x1"], given, network)
    with pytest.raises(WhatIfError, match="an id begins with one of link"):
        find(["qqqqqqqqq"], given, network)

"""Fans against a list read from the top, pair by pair."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import fan as kernel
from patronus.engine.selection import LAST_RESORT
from tests.mutants.harness import caught, mutant
from tests.oracles import selection as oracle
from tests.oracles.selection import Way

METRIC = st.sampled_from([0, 1, 2, 94, 95, 100, 101, 105, 110, 2**41 - 1])
GRADE = st.sampled_from([0, 0, 0, 1, 2**16, LAST_RESORT - 1, LAST_RESORT, 2 * LAST_RESORT])
TUNNEL = st.builds(
    Way,
    usable=st.sampled_from([True, True, True, False]),
    grade=GRADE,
    now=st.sampled_from([0, 100, 100, 101, 2**42]),
    smooth=METRIC,
    tie=st.just(0),
    lane=st.integers(0, 2),
    fates=st.frozensets(st.sampled_from([0, 1]), max_size=1),
    end=st.just(0),
)
MARGINS = st.tuples(st.sampled_from([0, 1, 5, 100]), st.sampled_from([0, 1, 100_000, 10**6]))


@st.composite
def fans(draw: st.DrawFn) -> tuple[list[list[Way]], list[list[int]], list[list[int]], int, int]:
    """Draw tunnels by site, metrics beyond them, places in use, and margins."""
    hubs, lanes = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    sites, targets = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    columns = hubs * lanes
    tunnels = [
        [draw(TUNNEL)._replace(end=column // lanes) for column in range(columns)]
        for _ in range(sites)
    ]
    beyond = [[draw(METRIC) for _ in range(targets)] for _ in range(hubs)]
    held = [[draw(st.integers(0, columns)) for _ in range(targets)] for _ in range(sites)]
    return tunnels, beyond, held, *draw(MARGINS)


Example = tuple[list[list[Way]], list[list[int]], list[list[int]], int, int]


def fan_of(module: ModuleType, tunnels: list[list[Way]], beyond: list[list[int]]) -> kernel.Fan:
    grade, metric, now, usable = (
        np.array([[getattr(way, name) for way in ways] for ways in tunnels]).T
        for name in ("grade", "smooth", "now", "usable")
    )
    apart = [
        [sum(oracle.apart(way, w) << n for n, w in enumerate(ways)) for way in ways]
        for ways in tunnels
    ]
    end = np.array([way.end for way in tunnels[0]], dtype=np.int64)
    made: kernel.Fan = module.Fan(
        grade, metric, now, usable, np.array(apart, dtype=np.int64).T, end, np.array(beyond)
    )
    return made


def agree(module: ModuleType, example: Example) -> None:
    """Compare all pairs; those that are doubtful must have two equal candidates."""
    tunnels, beyond, held, margin_ns, margin_ppm = example
    fan = fan_of(module, tunnels, beyond)
    choosing = module.Choosing(fan, margin_ns=margin_ns, margin_ppm=margin_ppm, worst=2**42)
    for block in fan.blocks():
        picked = choosing.pick(block, np.array(held, dtype=np.int64)[block])
        for site, ways in enumerate(tunnels[block]):
            for to in range(len(beyond[0])):
                whole = [
                    way._replace(
                        smooth=way.smooth + beyond[way.end][to],
                        now=min(way.now + beyond[way.end][to], 2**42),
                    )
                    for way in ways
                ]
                ranks = [(way.grade, way.smooth) for way in whole if way.usable]
                assert picked.doubtful[site, to] == (len(set(ranks)) < len(ranks))
                if picked.doubtful[site, to]:
                    continue
                mine = held[block][site][to]
                current = mine if mine < len(ways) else None
                wanted = oracle.choose(whole, current, margin_ns, margin_ppm)
                columns = picked.primary, picked.first, picked.second
                told = [int(c[site, to]) for c in columns]
                assert [-1 if c == len(ways) else c for c in told] == wanted.places
                shares = told[0] < len(ways) and not picked.disjoint[site, to]
                assert shares == wanted.shared_fate
                assert picked.waiting[site, to] == wanted.waiting


@given(fans())
def test_a_fan_chooses_what_reading_down_the_list_gives(example: Example) -> None:
    """Primary, backups, shared fate and patience of all pairs are those of each by itself."""
    agree(kernel, example)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("self._key[one] == self._key[other])", "self._key[one] > self._key[other])"),
        ("beyond[other_end] - fan.beyond[end]", "beyond[end] - fan.beyond[other_end]"),
        ("(low < high) & self._both(one, other)", "(low < high)"),
        ("both: Bools = self._fan.usable[one] & self", "both: Bools = self"),
        ("(place << METRIC_BITS) + fan.metric", "(place << 3) + fan.metric"),
        ("self._base[~fan.usable] |= _FAR", "pass"),
        ("lead[nothing] = self._columns", "pass"),
        ("left = usable & ~bit", "left = usable | 0 * bit"),
        (
            "allowed, self._disjoint = _wished(left, left & apart",
            "allowed, self._disjoint = _wished(left, left",
        ),
        ("left & apart[:, :, None] & apart[:, None, :]", "left & apart[:, None, :]"),
        ("left & apart[:, :, None] & apart[:, None, :]", "left & apart[:, :, None]"),
        ("((left & good) == 0)", "False"),
        ("(((apart & good) != 0) |", "(True |"),
        ("equal = fan.usable[mine, here] & (", "equal = fan.usable[mine, here] | ("),
        ("+ rival + margin < smooth", "+ rival + margin <= smooth"),
        ("other_now <= mine_now", "other_now < mine_now"),
        ("better & ~no_worse", "better"),
        ("~(better & no_worse)", "~better"),
        ("np.maximum(self._margin_ns,", "np.minimum(self._margin_ns,"),
        ("np.left_shift(forbidden, 62 - number", "np.left_shift(forbidden, 61 - number"),
    ],
)
def test_the_property_catches_mutants(old: str, new: str) -> None:
    """Each way of breaking the kernel is noticed."""
    broken = mutant(kernel, old, new)
    assert caught(fans(), lambda example: agree(broken, example))


def test_blocks_cover_all_sites_once() -> None:
    """Sites are cut into blocks that fit into the caches, none twice and none left out."""
    sites, targets = 70, 1000
    many = np.zeros((1, sites), dtype=np.int64)
    fan = kernel.Fan(
        many, many, many, many == 0, many, np.zeros(1, dtype=np.int64),
        np.zeros((1, targets), dtype=np.int64),
    )  # fmt: skip
    blocks = list(fan.blocks())
    assert [n for b in blocks for n in range(b.start, b.stop)] == list(range(sites))
    assert len(blocks) > 1

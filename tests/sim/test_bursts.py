"""Loss bursts: the same however they are asked for, and as long and frequent as asked."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patronus.engine.fingerprint import U64, name_key
from patronus.engine.units import MS, SECOND, US
from patronus.sim import bursts
from patronus.sim.bursts import EPOCH_NS, Bad, Bursts, bad_intervals
from patronus.sim.luck import object_keys
from patronus.sim.scenario import Burst

SHORT = Burst(gap_ns=400 * MS, length_ns=100 * MS, loss_ppm=500_000)
LONG = Burst(gap_ns=3 * SECOND, length_ns=SECOND, loss_ppm=200_000)


def link_keys(count: int, seed: int = 1) -> U64:
    """Return object keys of numbered links."""
    names = np.array([name_key(f"link{i}") for i in range(count)], dtype=np.uint64)
    return object_keys(seed, "burst", names)


def merged(parts: Sequence[Bad]) -> list[tuple[int, int, int]]:
    """Return bad time as maximal periods, whatever pieces it came in."""
    pieces = sorted(
        (int(a), int(b), int(c)) for part in parts for a, b, c in zip(*part, strict=True)
    )
    whole: list[tuple[int, int, int]] = []
    for link, from_ns, until_ns in pieces:
        joins = bool(whole) and whole[-1][0] == link and whole[-1][2] >= from_ns
        whole.append((link, whole.pop()[1] if joins else from_ns, until_ns))
    return whole


@settings(max_examples=30)
@given(st.lists(st.integers(-12 * SECOND, 32 * SECOND), min_size=2, max_size=8, unique=True))
def test_any_partition_gives_the_same_bad_time(cuts: list[int]) -> None:
    """Cutting a span at any instants, epochs and zero included, changes no bad nanosecond."""
    keys, links = link_keys(3), [SHORT, None, LONG]
    cuts = sorted(cuts)
    process = Bursts(keys, links)
    parts = [process.bad(a, b) for a, b in pairwise(cuts)]
    assert merged(parts) == merged([bad_intervals(keys, links, cuts[0], cuts[-1])])


def test_going_back_in_time_gives_the_same() -> None:
    """An epoch that was dropped from memory is drawn again exactly."""
    process = Bursts(link_keys(4), [SHORT] * 4)
    first = process.bad(0, EPOCH_NS)
    process.bad(EPOCH_NS, 9 * EPOCH_NS)
    assert all(np.array_equal(a, b) for a, b in zip(first, process.bad(0, EPOCH_NS), strict=True))


def test_draws_do_not_depend_on_how_many_are_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch size is a matter of speed alone."""
    expected = merged([bad_intervals(link_keys(20), [SHORT] * 20, 0, 30 * SECOND)])
    monkeypatch.setattr(bursts, "_DRAWS", 2)
    assert merged([bad_intervals(link_keys(20), [SHORT] * 20, 0, 30 * SECOND)]) == expected


def test_other_links_do_not_move_a_links_bursts() -> None:
    """A link's bursts are its own: alone, among others, or with others' parameters changed."""
    keys = link_keys(5)
    alone = bad_intervals(keys[2:3], [SHORT], 0, 30 * SECOND)
    among = bad_intervals(keys, [LONG, None, SHORT, SHORT, LONG], 0, 30 * SECOND)
    mine = among.link == 2
    assert len(alone.link) > 20
    assert np.array_equal(alone.from_ns, among.from_ns[mine])
    assert np.array_equal(alone.until_ns, among.until_ns[mine])


def test_links_and_seeds_differ() -> None:
    """Two links, and one link under two seeds, are bad at different times."""
    one = bad_intervals(link_keys(2), [SHORT] * 2, 0, 10 * SECOND)
    other = bad_intervals(link_keys(2, seed=2), [SHORT] * 2, 0, 10 * SECOND)
    starts = [set(b.from_ns[b.link == i].tolist()) for b in (one, other) for i in (0, 1)]
    assert all(not (a & b) - {0} for i, a in enumerate(starts) for b in starts[i + 1 :])


def test_sorted_disjoint_and_within() -> None:
    """Periods are sorted by (link, from), disjoint, not empty, and within the span."""
    bad = bad_intervals(link_keys(50), [SHORT] * 50, 3 * SECOND, 27 * SECOND)
    same = bad.link[1:] == bad.link[:-1]
    assert (np.diff(bad.link) >= 0).all()
    assert (bad.from_ns[1:][same] >= bad.until_ns[:-1][same]).all()
    assert (bad.from_ns < bad.until_ns).all()
    assert bad.from_ns.min() >= 3 * SECOND
    assert bad.until_ns.max() <= 27 * SECOND


@pytest.mark.parametrize("burst", [SHORT, LONG])
def test_stationary_share_and_lengths(burst: Burst) -> None:
    """Bad time has its share at every instant, and periods their mean lengths."""
    links, epochs = 1500, 3
    bad = bad_intervals(link_keys(links), [burst] * links, 0, epochs * EPOCH_NS)
    share = burst.length_ns / (burst.gap_ns + burst.length_ns)
    for instant in (0, 1, 5 * SECOND, EPOCH_NS - 1, EPOCH_NS, 2 * EPOCH_NS + 7):
        now = int(((bad.from_ns <= instant) & (instant < bad.until_ns)).sum())
        assert abs(now / links - share) < 5 * (share * (1 - share) / links) ** 0.5
    # Whole periods alone, begun early enough that the border hardly cuts one.
    early = (bad.from_ns % EPOCH_NS > 0) & (bad.from_ns % EPOCH_NS < 4 * SECOND)
    lengths = (bad.until_ns - bad.from_ns)[early]
    border = burst.length_ns * np.exp(-6 * SECOND / burst.length_ns)
    assert (
        abs(lengths.mean() - burst.length_ns) < 5 * burst.length_ns / len(lengths) ** 0.5 + border
    )
    begun = len(lengths) / (links * epochs * 4 * SECOND)
    assert abs(begun * (burst.gap_ns + burst.length_ns) - 1) < 0.04


def test_bursts_are_memoryless_across_the_border() -> None:
    """Whether a link is bad just after an epoch's border does not follow from just before."""
    links = 4000
    bad = bad_intervals(link_keys(links), [LONG] * links, 0, 2 * EPOCH_NS)
    before, after = (
        np.isin(np.arange(links), bad.link[(bad.from_ns <= t) & (t < bad.until_ns)])
        for t in (EPOCH_NS - 1, EPOCH_NS)
    )
    both = int((before & after).sum())
    assert abs(both / links - 1 / 16) < 5 * (15 / 256 / links) ** 0.5


def test_no_burst_no_time() -> None:
    """Without a process, or in an empty span, nothing is bad."""
    for links, end_ns in (([None, None], 20 * SECOND), ([SHORT, SHORT], 0)):
        assert len(bad_intervals(link_keys(2), links, 0, end_ns).link) == 0


def test_very_long_periods_do_not_overflow() -> None:
    """Means of a year keep their link good or bad for the whole epoch."""
    year = 365 * 86_400 * SECOND
    bad = bad_intervals(link_keys(200), [Burst(year, year, 1)] * 200, 0, EPOCH_NS)
    assert 60 < len(bad.link) < 140
    assert ((bad.until_ns - bad.from_ns) == EPOCH_NS).all()


@pytest.mark.parametrize("burst", [Burst(0, MS, 1), Burst(MS, -1, 1), Burst(60 * US, 30 * US, 1)])
def test_impossible_processes_are_refused(burst: Burst) -> None:
    """Periods of no length, or too many of them, are an error and not a hang."""
    with pytest.raises(ValueError, match="period"):
        Bursts(link_keys(1), [burst])

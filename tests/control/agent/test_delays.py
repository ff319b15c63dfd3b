"""One-way delays: told apart where round trips cannot, whatever the peer's clock says."""

import numpy as np

from patronus.control.agent.delays import OneWay
from patronus.dataplane.stamp.columns import Columns
from patronus.engine.units import MS, SECOND

PEERS = np.array([1, 1, 2, 2], dtype=np.int32)
OUT_MS, BACK_MS = (10, 50, 5, 7), (50, 10, 5, 9)
"""The first two have the same round trip."""


def sample(at_ns: int, clocks_ns: tuple[int, ...], rows: tuple[int, ...] = (0, 1, 2)) -> Columns:
    """Return what a probe of some rows brings back; clocks by peer."""
    sent = np.full(len(rows), at_ns, dtype=np.int64)
    out, back = (np.array([t[r] * MS for r in rows], dtype=np.int64) for t in (OUT_MS, BACK_MS))
    clock = np.array([clocks_ns[PEERS[r] - 1] for r in rows], dtype=np.int64)
    ones = np.ones(len(rows), dtype=np.int64)
    return Columns(
        np.array(rows, dtype=np.int64), sent, sent + out + clock, sent + out + back, ones, ones
    )


def test_ways_out_differ_by_what_they_differ() -> None:
    """Of one peer's tunnels the difference is exact; with one tunnel it is half the round trip."""
    found = OneWay(PEERS)
    assert found.estimates().tolist() == [0, 0, 0, 0]
    found.take(sample(SECOND, (77 * SECOND, -5 * SECOND)))
    first, second, third, fourth = found.estimates().tolist()
    assert second - first == 40 * MS
    assert first + second == 60 * MS
    assert (third, fourth) == (5 * MS, 0)


def test_a_peer_that_starts_again_has_another_clock() -> None:
    """Its rows begin anew, each with its next sample; others are smoothed."""
    found = OneWay(PEERS)
    found.take(sample(SECOND, (77 * SECOND, 0)))
    found.take(sample(2 * SECOND, (0, 0)))
    first, second, third, _ = found.estimates().tolist()
    assert second - first == 40 * MS
    assert third == 5 * MS


def test_an_estimate_is_never_taken_for_an_unknown_one() -> None:
    """However far a sum of halves is off, what is known is above zero."""
    found = OneWay(PEERS)
    early = sample(SECOND, (0, 0), (0, 1))
    found.take(early._replace(reflected_ns=early.reflected_ns + np.array([0, 10**9])))
    assert found.estimates()[:2].min() == 1

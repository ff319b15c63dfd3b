"""A blackout is seen within its bound at both ends, whatever the phase of the probes."""

import numpy as np
import pytest

from tests.bench.detection import Cases, bench


def test_a_blackout_is_seen_within_its_bound() -> None:
    """The short form: 50 sites, every line and cut once."""
    assert bench(phases=300, sites=50)


@pytest.mark.bench
def test_ten_thousand_blackouts_are_seen_within_their_bounds() -> None:
    """The bar: 10,000 keyed phases."""
    assert bench(phases=10_000)


def test_a_case_that_is_late_or_never_seen_is_counted() -> None:
    """The bound itself is in time; what has not been seen at all is not."""
    seen = np.array([10.0, 20.0, 21.0, np.inf])
    assert Cases(seen, np.full(4, 20)).late == 2

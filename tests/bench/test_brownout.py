"""The bars of brownout detection, over fewer days than the bar asks for.

``python -m tests.bench.brownout`` runs the thousand path-days.
"""

import pytest

from tests.bench.brownout import measure


@pytest.mark.bench
def test_brownouts_are_seen_soon_and_seldom_falsely() -> None:
    """Detection times and false alarms are within their bars."""
    assert measure(path_days=50)

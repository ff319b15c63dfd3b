"""What steering costs a packet; ``make bench`` prints it."""

import pytest

from tests.bench import steering

pytestmark = [pytest.mark.bench, pytest.mark.root]


def test_steering_costs_little() -> None:
    """Flow hits and first packets over an empty program, each run counted."""
    steering.main()

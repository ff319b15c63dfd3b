"""Settings of the whole suite: the same tests with the same data, every time."""

import os

from hypothesis import HealthCheck, settings

# No clock decides a verdict: neither a deadline for one example nor how fast they are drawn.
settings.register_profile(
    "suite",
    derandomize=True,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# HYPOTHESIS_PROFILE=explore looks for new examples, many more of them.
settings.register_profile("explore", settings.get_profile("suite"), derandomize=False)
settings.register_profile("explore", max_examples=5000, parent=settings.get_profile("explore"))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

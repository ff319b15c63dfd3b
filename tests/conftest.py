"""Settings of the whole suite: the same tests with the same data, every time."""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.kernel import step_aside

# As many examples as find what the mutants break, not more: they are the same ones every time.
# No clock decides a verdict: neither a deadline for one example nor how fast they are drawn.
settings.register_profile(
    "suite",
    derandomize=True,
    max_examples=45,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# HYPOTHESIS_PROFILE=explore looks for new examples, many more of them.
settings.register_profile("explore", settings.get_profile("suite"), derandomize=False)
settings.register_profile("explore", max_examples=5000, parent=settings.get_profile("explore"))
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))

ENGINE = Path(__file__).parent / "engine"
"""Its tests alone must reach every branch of the engine; tracing the others doubles their time."""

# A worker holds half a million objects from its start, and walking through them time and again
# to find what few tests leave behind took a sixth of the suite.
gc.set_threshold(100_000)

MUTANTS_EACH = 3
"""One mutant of so many is hunted in every run of the suite."""

IS_ROOT = os.geteuid() == 0
left_out = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """Step aside, unless this process only hands out the work: its helpers do."""
    if IS_ROOT and not config.getoption("numprocesses", None):
        step_aside()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs root where we are not root; the end of the run says how much."""
    mutants = 0
    for item in items:
        broken = "mutant" in item.name
        if broken or not item.path.is_relative_to(ENGINE):
            item.add_marker("no_cover")
        if broken:
            # They test the tests: some always, all of them with the slow ones.
            mutants += 1
            if mutants % MUTANTS_EACH:
                item.add_marker("slow")
    # What takes longest begins first, so that nobody waits for it in the end.
    items.sort(key=lambda item: "test_notebooks" not in item.nodeid)
    config.stash[left_out] = 0
    if IS_ROOT:
        return
    needs = [item for item in items if item.get_closest_marker("root")]
    config.hook.pytest_deselected(items=needs)
    items[:] = [item for item in items if not item.get_closest_marker("root")]
    config.stash[left_out] = len(needs)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say loudly what was not tested."""
    count = config.stash.get(left_out, 0)
    if not IS_ROOT:
        terminalreporter.section("NOT TESTED", sep="!", red=True, bold=True)
        what = f"{count} tests" if count else "The tests"
        terminalreporter.line(
            f"{what} that need root did not run: nothing is known of the Linux dataplane here."
        )

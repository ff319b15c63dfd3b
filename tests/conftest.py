"""Settings of the whole suite: the same tests with the same data, every time."""

import os

import pytest
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

IS_ROOT = os.geteuid() == 0
KERNEL = "kernel"
left_out = pytest.StashKey[int]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep what needs root in one process; leave it out where we are not root.

    The end of the run says how much was left out.
    """
    config.stash[left_out] = 0
    for item in items:
        if item.get_closest_marker("root"):
            # There is one kernel: names of devices and namespaces are taken once at a time.
            item.add_marker(pytest.mark.xdist_group(KERNEL))
    if IS_ROOT:
        return
    needs = [item for item in items if item.get_closest_marker("root")]
    config.hook.pytest_deselected(items=needs)
    items[:] = [item for item in items if not item.get_closest_marker("root")]
    config.stash[left_out] = len(needs)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse to run tests of one kernel side by side: pytest-xdist knows groups by their ids."""
    if not getattr(session.config.option, "loadgroup", False):
        return
    for item in session.items:
        if item.get_closest_marker("root") and not item.nodeid.endswith(f"@{KERNEL}"):
            raise pytest.UsageError(f"{item.nodeid} is in no group: it would not run alone")


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

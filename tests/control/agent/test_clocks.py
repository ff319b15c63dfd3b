"""House rule: nothing that a site decides depends on the time of day, which jumps."""

import ast
import re
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.rules.tree import ROOT

PLACES = ("control/agent", "control/members", "control/recording", "dataplane", "engine", "bpf")
WALL = frozenset({"time", "time_ns", "localtime", "gmtime", "ctime", "strftime", "now", "today",
                  "utcnow", "CLOCK_REALTIME", "CLOCK_TAI"})  # fmt: skip
CLOCKS = frozenset({"time", "datetime", "date"})
KERNEL = re.compile(r"\bbpf_ktime_get_(\w+)\(")

ALLOWED = {
    # Where counters of announcements and ends of certificates start from (docs/membership.md).
    "control/agent/loop.py": 1,
    "control/members/driver.py": 1,
    # How long a datagram has waited in its socket: at most a second is believed.
    "dataplane/stamp/udp.py": 1,
    "dataplane/nexthops/reception.py": 1,
    # How old a key is, over restarts: it is replaced early or late by what the clock jumps.
    "control/agent/bearer.py": 1,
}


def readings(text: str) -> Iterator[str]:
    """Yield each reading of a wall clock in a Python source."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Attribute(value=ast.Name(id=clock), attr=name):
                if clock in CLOCKS and name in WALL:
                    yield f"{clock}.{name}"
            case ast.ImportFrom(module="time", names=names):
                yield from (f"time.{each.name}" for each in names if each.name in WALL)


def test_the_time_of_day_is_read_where_it_may_be() -> None:
    """Python reads it in five places, and the kernel's programs nowhere."""
    found: Counter[str] = Counter()
    for place in PLACES:
        for path in (ROOT / place).rglob("*.py"):
            if count := len(list(readings(path.read_text()))):
                found[str(path.relative_to(ROOT))] = count
    assert found == ALLOWED
    clocks = {
        clock for path in (ROOT / "bpf").iterdir() for clock in KERNEL.findall(path.read_text())
    }
    assert clocks == {"ns"}


@pytest.mark.parametrize(
    "text",
    ["x = time.time()", "x = time.time_ns()", "from time import time_ns", "x = datetime.now()",
     "x = time.clock_gettime(time.CLOCK_REALTIME)"],
)  # fmt: skip
def test_the_rule_sees_it(text: str) -> None:
    """A reading is found however it is written; the monotonic clock is none."""
    assert list(readings(text))
    assert not list(readings("x = time.monotonic_ns()"))

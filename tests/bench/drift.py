"""Delete what is ours from a running site's kernel, at random, and see how soon it is back.

    python -m tests.bench.drift [--deletions 500] [--seed 1]

A spoke with a real agent on two wans. Each deletion takes one thing: a filter, a rule of the
routing policy, a transport's table, the pacer's device, a pin, a prefix, an entry of the
forwarding table, or what makes up a tunnel's row. *Repaired* is the time until it is there
again; it counts as noticed when the agent's own count of repairs has risen.
"""

import argparse
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from patronus.dataplane.linux import syscall
from patronus.dataplane.linux.pins import BPF_ROOT, Pins
from tests.bench.gaps import pause
from tests.control.agent.fleet import Fleet, Site, run, unique
from tests.kernel import step_aside

BAR_S: Final = 2.0
PATIENCE_S: Final = 10.0
LOOK_S: Final = 0.02
DEVICES: Final = ("lan", "blue", "red")
PINS: Final = ("programs/steer_lan", "programs/tunnel_ether", "maps/flows", "maps/tunnels")


class Deletion(NamedTuple):
    """One thing of ours."""

    what: str
    delete: Callable[[], object]
    is_back: Callable[[], bool]


class Target:
    """A site whose kernel loses things."""

    def __init__(self, site: Site, draw: np.random.Generator) -> None:
        self.site, self.draw = site, draw
        self.pins = Pins.open(site.pins)
        self.kinds: tuple[Callable[[], Deletion], ...] = (
            self.filter, self.rule, self.route, self.device, self.pin, self.prefix, self.entry,
            self.row,
        )  # fmt: skip

    def ip(self, *words: str) -> str:
        return run("ip", "-n", self.site.router, *words)

    def tc(self, *words: str) -> str:
        return run("tc", "-n", self.site.router, *words)

    def drifts(self) -> int:
        """Return how many repairs the agent has counted."""
        return sum(self.site.show("health")["drifts"].values())

    def any(self) -> Deletion:
        """Choose what goes."""
        return self.kinds[int(self.draw.integers(len(self.kinds)))]()

    def filter(self) -> Deletion:
        device = str(self.draw.choice(DEVICES))
        where = ("dev", device, "ingress")
        return Deletion("filter", lambda: self.tc("filter", "del", *where),
                        lambda: "patronus" in self.tc("filter", "show", *where))  # fmt: skip

    def _rules(self) -> list[str]:
        lines = self.ip("rule").splitlines()
        return [line.split(":")[0] for line in lines if "lookup 74" in line]

    def rule(self) -> Deletion:
        preference = str(self.draw.choice(self._rules()))
        return Deletion("rule", lambda: self.ip("rule", "del", "pref", preference),
                        lambda: preference in self._rules())  # fmt: skip

    def route(self) -> Deletion:
        lines = self.ip("rule").splitlines()
        tables = [line.split("lookup ")[1].split()[0] for line in lines if "lookup 74" in line]
        table = str(self.draw.choice(tables))
        before = len(self.ip("route", "show", "table", table).splitlines())
        return Deletion(
            "table",
            lambda: self.ip("route", "flush", "table", table),
            lambda: len(run("ip", "-n", self.site.router, "route", "show", "table", table,
                            check=False).splitlines()) >= before,
        )  # fmt: skip

    def device(self) -> Deletion:
        name = "patronus-tick0"
        return Deletion("device", lambda: self.ip("link", "del", name),
                        lambda: name in self.ip("-br", "link"))  # fmt: skip

    def pin(self) -> Deletion:
        path = BPF_ROOT / self.site.pins / str(self.draw.choice(PINS))
        return Deletion("pin", path.unlink, path.exists)

    def prefix(self) -> Deletion:
        map_fd = self.pins.maps["prefixes4"]
        keys = []
        key = syscall.next_key(map_fd, None, 8)
        while key is not None:
            keys.append(key)
            key = syscall.next_key(map_fd, key, 8)
        gone = keys[int(self.draw.integers(len(keys)))]
        return Deletion("prefix", lambda: syscall.delete(map_fd, gone),
                        lambda: syscall.lookup(map_fd, gone, 8) is not None)  # fmt: skip

    def entry(self) -> Deletion:
        entries = self.pins.array("entries").reshape(2, -1)
        bank = entries[int(self.pins.array("settings")["bank_word"][0]) & 1]
        place = int(self.draw.choice(np.flatnonzero(bank)))

        def delete() -> None:
            bank[place] = 0

        def is_back() -> bool:
            now = int(self.pins.array("settings")["bank_word"][0]) & 1
            return bool(entries[now, place])

        return Deletion("entry", delete, is_back)

    def row(self) -> Deletion:
        tunnels = self.pins.array("tunnels")
        row = int(self.draw.choice(np.flatnonzero(tunnels["session_out"])))
        kept = int(tunnels["session_out"][row])

        def delete() -> None:
            tunnels["session_out"][row] = kept ^ 1

        return Deletion("row", delete, lambda: int(tunnels["session_out"][row]) == kept)


def measure(target: Target) -> tuple[str, float, bool]:
    """Delete one thing; return its kind, the time until it was back, and whether that counted."""
    chosen, before = target.any(), target.drifts()
    chosen.delete()
    began = time.monotonic()
    while not chosen.is_back():
        if time.monotonic() - began > PATIENCE_S:
            return chosen.what, float("inf"), target.drifts() > before
        pause(LOOK_S)
    taken = time.monotonic() - began
    while target.drifts() == before and time.monotonic() - began < PATIENCE_S:
        pause(LOOK_S)
    return chosen.what, taken, target.drifts() > before


@contextmanager
def target(cache: Path, seed: int) -> Iterator[Target]:
    """Yield a spoke in service."""
    with tempfile.TemporaryDirectory(prefix="ag-drift-") as folder:
        fleet = Fleet(Path(folder), cache, unique())
        try:
            fleet.build()
            fleet.start()
            yield Target(fleet["oslo"], np.random.default_rng(seed))
        finally:
            fleet.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deletions", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    step_aside()
    with target(Path(tempfile.gettempdir()) / "patronus-bench", given.seed) as found:
        times: dict[str, list[float]] = defaultdict(list)
        uncounted: Counter[str] = Counter()
        for _ in range(given.deletions):
            what, taken, counted = measure(found)
            times[what].append(taken)
            uncounted[what] += not counted
        for what, each in sorted(times.items()):
            print(f"{what:8} {len(each):4} times, p50 {np.median(each):.2f} s,"
                  f" worst {max(each):.2f} s (bar {BAR_S:.0f} s)")  # fmt: skip
        print(f"{given.deletions} deletions, {uncounted.total()} not counted by the agent",
              {what: number for what, number in uncounted.items() if number} or "")  # fmt: skip


if __name__ == "__main__":
    main()

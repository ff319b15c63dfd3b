"""Measure paths that are neither good nor gone: how they are left, and how often.

    python -m tests.bench.grey flapping [--seconds 600] [--hertz 0.1 0.5 1 5]
    python -m tests.bench.grey brownout [--trials 40] [--kind plain wireguard]
    python -m tests.bench.grey blip [--trials 5]

Two spokes (over WireGuard one) and a hub with real agents on two wans, 10 ms × 3, a thousand
packets a second each way. *flapping*: the wan in use is cut and mended in turn, both ways; a move
is a change of the tunnel that carries user packets, as the kernel's counters tell it every 10 ms.
*brownout*: 20 % of the packets of one direction are lost, or (over WireGuard, since plain tunnels
check nothing) spoilt; measured is how long user packets stay. *blip*: one cut of a second; measured
is when the wan carries packets again.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from patronus.dataplane.linux.pins import Pins
from tests.bench.gaps import SPOKES, Bench, bench, pause
from tests.control.agent.fleet import Site
from tests.kernel import step_aside

LOSS: Final = 0.2
LOOK_S: Final = 0.01
PATIENCE_S: Final = 60.0
BARS: Final = {"moves": 4, "brownout_s": 2.0, "blip_s": 30.0}

Counts = npt.NDArray[np.uint64]


class Eye:
    """Sees over which tunnel the user packets of a site go."""

    def __init__(self, site: Site) -> None:
        self._pins = Pins.open(site.pins)
        self._tunnels = self._pins.array("tunnels")
        self._before = self._counts()

    def _counts(self) -> Counts:
        counts: Counts = self._tunnels["tx_packets"].sum(axis=1)
        return counts

    def rows(self) -> set[int]:
        """Return the rows that have carried packets since the last look."""
        now = self._counts()
        used = {int(row) for row in np.flatnonzero(now != self._before)}
        self._before = now
        return used

    def close(self) -> None:
        del self._tunnels
        self._pins.close()


def watch(eye: Eye, seconds: float) -> Iterator[set[int]]:
    """Look again and again for a while."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pause(LOOK_S)
        yield eye.rows()


def time_until(eye: Eye, holds: Callable[[set[int]], bool]) -> float:
    """Return the seconds until some looks in a row say so; infinite where none does in time."""
    began, since = time.monotonic(), None
    for rows in watch(eye, PATIENCE_S):
        if not rows:
            continue
        if not holds(rows):
            since = None
            continue
        since = since or time.monotonic()
        if time.monotonic() - since > 10 * LOOK_S:
            return since - began
    return float("inf")


def flapping(found: Bench, hertz: float, seconds: float, state: str) -> int:
    """Return how often the packets of a spoke were moved."""
    found.settle(3 * PATIENCE_S)  # the flaps before are remembered for long
    eye = Eye(found.fleet["oslo"])
    scissors = found.scissors[SPOKES.index("oslo")]
    with found.asleep(state):
        count, began, last = 0, time.monotonic(), None
        for rows in watch(eye, seconds):
            is_cut = int((time.monotonic() - began) * hertz * 2) % 2 == 0
            if is_cut:
                scissors.lose(("out", "in"))
            else:
                scissors.mend()
            # A look in which two tunnels carried packets sees the move itself: the next counts.
            if len(rows) == 1 and rows != last:
                count, last = count + (last is not None), rows
        scissors.mend()
    eye.close()
    return count


def brownout(found: Bench, way: str, how: str) -> float:
    """Return how long the packets of a direction stay on a wan that harms a fifth of them."""
    found.settle()
    sender = found.fleet["oslo" if way == "out" else "hub"]
    eye = Eye(sender)
    pause(0.5)
    usual = eye.rows()
    scissors = found.scissors[SPOKES.index("oslo")]
    (scissors.lose if how == "lost" else scissors.spoil)((way,), LOSS)
    taken = time_until(eye, lambda rows: rows != usual)
    scissors.mend()
    eye.close()
    return taken


def blip(found: Bench) -> float:
    """Return how long after a cut of one second the wan carries packets again."""
    found.settle()
    eye = Eye(found.fleet["oslo"])
    pause(0.5)
    usual = eye.rows()
    scissors = found.scissors[SPOKES.index("oslo")]
    scissors.lose(("out", "in"))
    pause(1)
    scissors.mend()
    eye.rows()
    taken = time_until(eye, lambda rows: rows == usual)
    eye.close()
    return taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("flapping", "brownout", "blip"))
    parser.add_argument("--kind", nargs="+", default=["plain", "wireguard"])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--hertz", type=float, nargs="+", default=[0.1, 0.5, 1, 5])
    parser.add_argument("--states", nargs="+", default=["running", "both-stopped"])
    parser.add_argument("--trials", type=int, default=40)
    given = parser.parse_args()
    step_aside()
    cache = Path(tempfile.gettempdir()) / "patronus-bench"
    for kind in given.kind:
        # Flaps are damped as by default; else trials would wait for each other.
        hold_max = "60s" if given.what == "flapping" else "500ms"
        with bench(kind, cache, hold_max=hold_max) as found:
            for text in lines(given, kind, found):
                print(f"{kind}: {text}", flush=True)


def lines(given: argparse.Namespace, kind: str, found: Bench) -> Iterator[str]:
    """Measure, and tell of each case."""
    if given.what == "flapping":
        for state in given.states:
            for hertz in given.hertz:
                count = flapping(found, hertz, given.seconds, state)
                yield (f"{hertz} Hz for {given.seconds:.0f} s, agents {state}: {count} moves"
                       f" (bar {BARS['moves']})")  # fmt: skip
    elif given.what == "blip":
        yield told("back after a cut of 1 s", [blip(found) for _ in range(given.trials)], "blip_s")
    else:
        for how in ("lost", "spoilt") if kind == "wireguard" else ("lost",):
            for way in ("out", "in"):
                taken = [brownout(found, way, how) for _ in range(given.trials)]
                yield told(f"20 % {how}, {way}", taken, "brownout_s")


def told(what: str, taken: list[float], bar: str) -> str:
    """Return a line of percentiles."""
    times = np.sort(taken)
    p50, p95 = (times[int(np.ceil(len(times) * share)) - 1] for share in (0.5, 0.95))
    return (f"{what}: {len(times)} times, p50 {p50:.2f} s, p95 {p95:.2f} s, worst {times[-1]:.2f} s"
            f" (bar {BARS[bar]:.0f} s)")  # fmt: skip


if __name__ == "__main__":
    main()

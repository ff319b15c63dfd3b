"""Measure what a cut costs a stream of a thousand packets a second, whoever sleeps meanwhile.

    python -m tests.bench.gaps [--kind plain wireguard] [--trials 200] [--interval-ms 10]
                               [--cuts A→B both …] [--states running A-killed …] [--spokes 4]

Spokes (A) and a hub (B) with real agents, three probes to a detection on two wans. In a
trial each spoke loses the wan in use at a random phase, in one direction or in both, while
streams flow both ways. The gap of a stream is the time from the last datagram sent that came
before the loss to the first one sent that came after it; 0 where nothing was lost. Only streams
in a cut direction count: cut A→B, the stream A→B has a sender that goes on hearing its peer, and
only the peer hears the cut; cut in both directions each sender hears it. Agents are stopped or
killed before the cut, and go on or start anew after it.
"""

import argparse
import itertools
import os
import select
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from patronus.engine.units import MS
from tests.bench.scissors import Scissors
from tests.control.agent.fleet import PATIENCE_S, Fleet, Site, unique, until
from tests.kernel import step_aside

SPOKES: Final = ("oslo", "rome", "pisa", "brno", "lyon", "kiel")
FEW: Final = {"plain": 2, "wireguard": 1}
"""Spokes unless more are asked for: with more, the machine rather than the wans is measured."""
WAN: Final = "blue"
CUTS: Final = {"A→B": ("out",), "B→A": ("in",), "both": ("out", "in")}
STATES: Final = ("running", "A-stopped", "B-stopped", "both-stopped", "A-killed")
BAR_MS: Final = {10: {"A→B": 50, "B→A": 50, "both": 35}, 4: {"both": 15}}
"""p99 by interval; for cuts that only the peer hears, and those that the sender hears."""
WORST_MS: Final = 80


class Gap(NamedTuple):
    """What a stream was without."""

    ns: int
    lost: int
    """Packets: at a thousand a second a figure of milliseconds that no pause of the sender is in
    (loss-derived, RFC 6412 section 3.5)."""


@dataclass
class Flow:
    """Numbered datagrams from one host to another."""

    sender: socket.socket
    receiver: socket.socket
    sent_ns: list[int] = field(default_factory=list)
    came: set[int] = field(default_factory=set)

    def gap_ns(self, since: int) -> int:
        """Return the longest time without delivery among the numbers since one of them."""
        return self.gap(since).ns

    def gap(self, since: int) -> Gap:
        """Return the longest gap among the numbers since one of them."""
        good = [n for n in range(since, len(self.sent_ns)) if n in self.came]
        steps = [(a, b) for a, b in itertools.pairwise(good) if b > a + 1]
        gaps = (Gap(self.sent_ns[b] - self.sent_ns[a], b - a - 1) for a, b in steps)
        return max(gaps, default=Gap(0, 0))


class Traffic:
    """All flows, from two threads; that which sends goes before everybody else's."""

    def __init__(self, flows: list[Flow]) -> None:
        self.flows = flows
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=t, daemon=True) for t in (self._send, self._hear)]
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        # The stream is the measure: a sender that waits for a processor would stretch the gaps.
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        due = time.monotonic()
        while not self._stop.is_set():
            for flow in self.flows:
                number = len(flow.sent_ns)
                flow.sent_ns.append(time.monotonic_ns())
                flow.sender.send(number.to_bytes(4, "big"))
            due = max(due + 0.001, time.monotonic() - 0.01)
            select.select([], [], [], max(due - time.monotonic(), 0))

    def _hear(self) -> None:
        poll, known = select.poll(), {flow.receiver.fileno(): flow for flow in self.flows}
        for descriptor in known:
            poll.register(descriptor, select.POLLIN)
        while not self._stop.is_set():
            for descriptor, _ in poll.poll(100):
                flow = known[descriptor]
                flow.came.add(int.from_bytes(flow.receiver.recv(64), "big"))

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for flow in self.flows:
            flow.sender.close()
            flow.receiver.close()


def _flow(one: Site, other: Site, port: int) -> Flow:
    sender, receiver = one.udp(), other.udp(port)
    sender.connect(receiver.getsockname())
    return Flow(sender, receiver)


@dataclass
class Bench:
    """A fleet with its traffic and its scissors."""

    fleet: Fleet
    flows: dict[str, list[Flow]]
    """One for each spoke: ``out`` to the hub, ``in`` from it."""
    scissors: list[Scissors]
    draw: np.random.Generator

    @property
    def spokes(self) -> list[Site]:
        """All sites but the hub."""
        return [site for name, site in self.fleet.sites.items() if name != "hub"]

    def settle(self, seconds: float = PATIENCE_S) -> None:
        """Wait until all is up and both ends of every spoke use the wan that will be cut."""
        self.fleet.wait(seconds)
        until(lambda: all(self._uses_wan(spoke) for spoke in self.spokes), seconds)

    def _uses_wan(self, spoke: Site) -> bool:
        hub = self.fleet["hub"]
        ways = [p["path"] for p in spoke.show("paths") if p["destination"] == hub.site]
        ways += [p["path"] for p in hub.show("paths") if p["destination"] == spoke.site]
        return bool(ways) and all(way.startswith(f"{WAN}>") for way in ways)

    def sleepers(self, state: str) -> list[Site]:
        asleep = {"A-stopped": self.spokes, "B-stopped": [self.fleet["hub"]],
                  "both-stopped": list(self.fleet.sites.values())}  # fmt: skip
        return asleep.get(state, [])

    def trial(self, ways: tuple[str, ...], state: str) -> dict[str, list[Gap]]:
        """Cut some ways; return the gaps of the streams each way."""
        self.settle()
        with self.asleep(state):
            return self._cut(ways)

    @contextmanager
    def asleep(self, state: str) -> Iterator[None]:
        """Stop or kill some agents for a while."""
        for site in self.sleepers(state):
            assert site.process is not None
            site.process.send_signal(signal.SIGSTOP)
        killed = self.spokes if state == "A-killed" else []
        for site in killed:
            site.stop(signal.SIGKILL)
        yield
        for site in self.sleepers(state):
            assert site.process is not None
            site.process.send_signal(signal.SIGCONT)
        for site in killed:
            site.start()

    def _cut(self, ways: tuple[str, ...]) -> dict[str, list[Gap]]:
        starts = {way: [len(flow.sent_ns) for flow in flows] for way, flows in self.flows.items()}
        for scissors in self.scissors:
            pause(0.05 + self.draw.random() * 0.05)
            scissors.lose(ways)
        pause(0.4)
        gaps = {
            way: [flow.gap(start) for flow, start in zip(flows, starts[way], strict=True)]
            for way, flows in self.flows.items()
        }
        for scissors in self.scissors:
            scissors.mend()
        return gaps


def pause(seconds: float) -> None:
    """Let the packets flow."""
    select.select([], [], [], seconds)


@contextmanager
def bench(
    kind: str,
    cache: Path,
    *,
    interval_ms: int = 10,
    seed: int = 1,
    hold_max: str = "500ms",
    spokes: int = 0,
) -> Iterator[Bench]:
    """Yield a fleet under traffic.

    Unless more is asked for, a wan is used again soon however often it was cut: trials are quick
    then, and how it is left does not change.
    """
    spokes = spokes or FEW[kind]

    def eager(text: dict[str, Any]) -> None:
        for transport in text["transports"].values():
            transport["liveness"] = {"interval": f"{interval_ms}ms", "multiplier": 3}
        text["policy"]["damping"] = {"hold": "500ms", "max": hold_max}
        text["classes"] = {"default": {"sla": {"loss": "2%"}}}

    with tempfile.TemporaryDirectory(prefix="ag-gaps-") as folder:
        fleet = Fleet(Path(folder), cache, unique(), kind, ("hub", *SPOKES[:spokes]))
        traffic, scissors = None, []
        try:
            fleet.build()
            for site in fleet.sites.values():
                site.write(eager)
            fleet.start()
            hub, others = fleet["hub"], [fleet[name] for name in SPOKES[:spokes]]
            flows = {
                "out": [_flow(spoke, hub, 7001 + n) for n, spoke in enumerate(others)],
                "in": [_flow(hub, spoke, 7101 + n) for n, spoke in enumerate(others)],
            }
            scissors = [Scissors(fleet.bridges[WAN], f"to-{spoke.name}") for spoke in others]
            traffic = Traffic(flows["out"] + flows["in"])
            yield Bench(fleet, flows, scissors, np.random.default_rng(seed))
        finally:
            if traffic is not None:
                traffic.close()
            for each in scissors:
                each.close()
            fleet.close()


def line(kind: str, cut: str, state: str, gaps: list[Gap], bar_ms: float) -> str:
    """Return a cell as a row of the table; a bar of NaN is none."""
    times, lost = np.sort([gap.ns for gap in gaps]) / MS, np.sort([gap.lost for gap in gaps])
    last = int(np.ceil(len(times) * 0.99)) - 1
    p50, p99 = times[int(np.ceil(len(times) * 0.5)) - 1], times[last]
    missed = ", missed" if p99 > bar_ms or times[-1] > WORST_MS else ""
    return (f"| {kind} | {cut} | {state} | {len(times)} | {p50:.1f} | {p99:.1f} | {times[-1]:.1f}"
            f" | {lost[last]}, {lost[-1]} | {bar_ms:.0f}{missed} |")  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", nargs="+", default=["plain", "wireguard"])
    parser.add_argument("--cuts", nargs="+", choices=tuple(CUTS), default=list(CUTS))
    parser.add_argument("--states", nargs="+", choices=STATES, default=list(STATES))
    parser.add_argument("--trials", type=int, default=200, help="gaps of a cell, at least")
    parser.add_argument("--interval-ms", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--spokes", type=int, default=0, choices=range(len(SPOKES) + 1))
    given = parser.parse_args()
    step_aside()
    cache = Path(tempfile.gettempdir()) / "patronus-bench"
    print("| tunnels | cut | agents | gaps | p50 ms | p99 ms | worst ms | lost: p99, most | bar |")
    print("|---|---|---|---|---|---|---|---|---|")
    for kind in given.kind:
        how = {"interval_ms": given.interval_ms, "seed": given.seed, "spokes": given.spokes}
        with bench(kind, cache, **how) as found:
            for cut in given.cuts:
                for state in given.states:
                    gaps: list[Gap] = []
                    while len(gaps) < given.trials:
                        taken = found.trial(CUTS[cut], state)
                        gaps += [gap for way in CUTS[cut] for gap in taken[way]]
                    bar_ms = BAR_MS.get(given.interval_ms, {}).get(cut, float("nan"))
                    print(line(kind, cut, state, gaps, bar_ms), flush=True)


if __name__ == "__main__":
    main()

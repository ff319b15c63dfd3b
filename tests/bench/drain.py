"""Measure planned moves of pinned flows between paths of 10 and 50 ms, both ways.

    python -m tests.bench.drain [--deadline 60] [--flows 8] [--busy 4]

Two sites with agents, two wans. Some flows pause: five datagrams, then more than the delays
differ by, and 5 ms; others never do. All are answered, so that there is return traffic, which
follows by the same rule. One site alone is asked to drain. First the slow path: flows that pause
move in a pause, the others at the deadline, by force. Then the quick one: all move at once, since
what comes later by the slower path overtakes nothing. The bar, both ways: nothing lost, nothing
reordered but by force.
"""

import argparse
import select
import socket
import struct
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench.wire import delayed
from tests.control.agent.fleet import Fleet, Site, unique, until

SLOW_MS, QUICK_MS = 50, 10
PAUSE_S = (SLOW_MS - QUICK_MS + 20) / 1000
BURST, STEP_S = 5, 0.002
BUSY_STEP_S = 0.01
PORT = 7300
NUMBER = struct.Struct("!I")


@dataclass
class Flow:
    """Numbered datagrams of one pair of ports, which come back."""

    socket: socket.socket
    busy: bool
    due_s: float
    sent: int = 0
    there: list[int] = field(default_factory=list)
    """Numbers as they arrived at the far end ..."""
    back: list[int] = field(default_factory=list)
    """... and as their answers arrived here."""

    def send(self, to: tuple[str, int]) -> None:
        self.socket.sendto(NUMBER.pack(self.sent), to)
        self.sent += 1
        pauses = not self.busy and self.sent % BURST == 0
        self.due_s += PAUSE_S if pauses else BUSY_STEP_S if self.busy else STEP_S


class Traffic:
    """All flows from a host to another one, and their answers."""

    def __init__(self, one: Site, other: Site, *, flows: int, busy: int) -> None:
        now_s = time.monotonic()
        self.flows = [Flow(one.udp(), n >= flows, now_s + n * STEP_S) for n in range(flows + busy)]
        self._by_port = {f.socket.getsockname()[1]: f for f in self.flows}
        self._far = other.udp(PORT)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=t, daemon=True) for t in (self._go, self._answer)]
        for thread in self._threads:
            thread.start()

    def _go(self) -> None:
        to = self._far.getsockname()
        while not self._stop.is_set():
            now_s = time.monotonic()
            for flow in self.flows:
                if flow.due_s <= now_s:
                    # Late is late: catching up would make bursts of what should be spread.
                    flow.due_s = max(flow.due_s, now_s)
                    flow.send(to)
            left_s = min(f.due_s for f in self.flows) - time.monotonic()
            self._take(max(left_s, 0))
        self._take(0.5)

    def _take(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while True:
            sockets = {f.socket: f for f in self.flows}
            left_s = until_s - time.monotonic()
            ready = select.select(list(sockets), [], [], max(left_s, 0))[0]
            for each in ready:
                sockets[each].back.append(NUMBER.unpack(each.recv(100))[0])
            if left_s <= 0:
                return

    def _answer(self) -> None:
        while select.select([self._far], [], [], 1.0)[0] or not self._stop.is_set():
            if select.select([self._far], [], [], 0)[0]:
                data, source = self._far.recvfrom(100)
                self._by_port[source[1]].there.append(NUMBER.unpack(data)[0])
                self._far.sendto(data, source)

    def end(self) -> None:
        """Stop, and wait for what is under way."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=10)
        for each in (self._far, *(f.socket for f in self.flows)):
            each.close()

    def lost(self) -> tuple[int, int]:
        """Return how many never arrived, and how many answers."""
        there = sum(f.sent - len(set(f.there)) for f in self.flows)
        return there, sum(len(set(f.there)) - len(set(f.back)) for f in self.flows)

    def reordered(self, *, busy: bool) -> tuple[int, int]:
        """Return how many were overtaken on the way, and how many on the way back."""
        mine = [f for f in self.flows if f.busy is busy]
        return sum(overtaken(f.there) for f in mine), sum(overtaken(f.back) for f in mine)


def overtaken(numbers: list[int]) -> int:
    """Return how many came after a greater one."""
    newest, count = -1, 0
    for number in numbers:
        count += number < newest
        newest = max(newest, number)
    return count


@dataclass(frozen=True)
class Move:
    """What one planned move came to."""

    lost: tuple[int, int]
    """There, and back."""
    reordered: tuple[int, int]
    """Of flows that pause."""
    forced: tuple[int, int]
    """Reordered of flows that do not."""
    took_s: float
    """Until the last flow that pauses had moved."""
    stayed: int
    """Flows that never pause and were still there then."""
    notes: Counter[str]
    far_notes: Counter[str]
    """Of the site that answers."""


def pinned_at(site: Site, traffic: Traffic, *, busy: bool) -> Counter[str]:
    """Return over which transport how many flows go, or their answers."""
    ports = {f.socket.getsockname()[1] for f in traffic.flows if f.busy is busy}
    shown = site.ask("show", "flows", most=1000) or []
    ends = [({f["source_port"], f["target_port"]}, f["pinned_to"]) for f in shown]
    return Counter(str(to).partition(">")[0] for end, to in ends if PORT in end and end & ports)


def notes(site: Site) -> Counter[str]:
    """Return what the kernel has noted of moves."""
    told = site.show("counters")["notes"]
    return Counter({k: told[k] for k in ("drained", "drain_forced", "pin_moved")})


def move(
    site: Site, far: Site, traffic: Traffic, *, leave: str, to: str, deadline_s: float
) -> Move:
    """Drain a transport under traffic, and wait until every flow and its answers have left it."""
    before, far_before, began_s = notes(site), notes(far), time.monotonic()
    marks = [(len(f.there), len(f.back)) for f in traffic.flows]
    assert site.ask("drain", name=leave)
    quiet = sum(not f.busy for f in traffic.flows)
    for end in (site, far):
        until(partial(_gathered, end, traffic, to, quiet))
    took_s = time.monotonic() - began_s
    stayed = pinned_at(site, traffic, busy=True)[leave]
    for end in (site, far):
        until(partial(_gone, end, traffic, leave), deadline_s + 30)
    # What is under way arrives.
    select.select([], [], [], 4 * SLOW_MS / 1000)
    said, far_said = notes(site), notes(far)
    said.subtract(before)
    far_said.subtract(far_before)
    parts: dict[bool, list[int]] = {False: [0, 0], True: [0, 0]}
    for flow, (there, back) in zip(traffic.flows, marks, strict=True):
        # One before the mark: what is overtaken then is this move's.
        parts[flow.busy][0] += overtaken(flow.there[max(there - 20, 0) :])
        parts[flow.busy][1] += overtaken(flow.back[max(back - 20, 0) :])
    assert site.ask("drain", name=leave, on=False)
    return Move(
        (0, 0), (parts[False][0], parts[False][1]), (parts[True][0], parts[True][1]),
        took_s, stayed, said, far_said,
    )  # fmt: skip


def _gathered(site: Site, traffic: Traffic, transport: str, flows: int) -> bool:
    return pinned_at(site, traffic, busy=False)[transport] == flows


def _gone(site: Site, traffic: Traffic, transport: str) -> bool:
    return not pinned_at(site, traffic, busy=True)[transport]


def pinning(deadline_s: float) -> Any:
    """Return a change of the configuration: one pinned class, slow probing, a deadline."""

    def change(text: dict[str, Any]) -> None:
        text["classes"] = {"rest": {"pin": "on"}}
        text["dataplane"] = {"drain": f"{int(deadline_s)}s"}
        for transport in text["transports"].values():
            transport["liveness"] = {"interval": "50ms", "multiplier": 6}

    return change


@contextmanager
def far_apart(folder: Path, cache: Path, deadline_s: float) -> Iterator[tuple[Fleet, str]]:
    """Yield two sites, 50 ms apart by the wan that they prefer and 10 ms by the other one."""
    fleet = Fleet(folder, cache, unique(), names=("hub", "oslo"))
    with ExitStack() as stack:
        stack.callback(fleet.close)
        fleet.build()
        how = ""
        for wan, delay_ms in (("blue", SLOW_MS), ("red", QUICK_MS)):
            how = stack.enter_context(delayed(fleet.bridges[wan], "to-hub", "to-oslo", delay_ms))
        for site in fleet.sites.values():
            site.write(pinning(deadline_s))
        fleet.start()
        until(lambda: all(t["out_ns"] for t in fleet["oslo"].show("health")["tunnels"]))
        yield fleet, how


def measure(fleet: Fleet, *, deadline_s: float, flows: int, busy: int) -> dict[str, Move]:
    """Move all flows from the slow path to the quick one and back; return both moves."""
    oslo, hub = fleet["oslo"], fleet["hub"]
    found = {}
    for name, leave, to in (("slow to quick", "blue", "red"), ("quick to slow", "red", "blue")):
        if leave == "red":  # begin there: the engine prefers the other one
            assert oslo.ask("drain", name="blue")
            until(lambda: oslo.show("paths")[0]["path"].startswith("red>"))
        traffic = Traffic(oslo, hub, flows=flows, busy=busy)
        until(partial(_all_at, oslo, traffic, leave))
        if leave == "red":
            assert oslo.ask("drain", name="blue", on=False)
            until(lambda: oslo.show("paths")[0]["path"].startswith("blue>"))
        done = move(oslo, hub, traffic, leave=leave, to=to, deadline_s=deadline_s)
        traffic.end()
        found[name] = replace(done, lost=traffic.lost())
    return found


def _all_at(site: Site, traffic: Traffic, transport: str) -> bool:
    here = (pinned_at(site, traffic, busy=busy)[transport] for busy in (False, True))
    return sum(here) == len(traffic.flows)


def lines(moves: dict[str, Move], flows: int, busy: int) -> Iterator[str]:
    """Yield what is to be printed."""
    for name, m in moves.items():
        yield (
            f"{name}: lost {m.lost[0]} there, {m.lost[1]} back; {flows} flows that pause moved "
            f"within {m.took_s:.2f} s, reordered {m.reordered[0]} there, {m.reordered[1]} back; "
            f"{m.stayed} of {busy} that never pause stayed, reordered {m.forced[0]} there, "
            f"{m.forced[1]} back; "
            + ", ".join(f"{k} {v}" for k, v in sorted(m.notes.items()))
            + "; answers: "
            + ", ".join(f"{k} {v}" for k, v in sorted(m.far_notes.items()))
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deadline", type=int, default=60, help="seconds")
    parser.add_argument("--flows", type=int, default=8, help="flows that pause")
    parser.add_argument("--busy", type=int, default=4, help="flows that never do")
    parser.add_argument("--cache", type=Path, help="folder of compiled programs")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        cache = given.cache or Path(folder, "cache")
        with far_apart(Path(folder), cache, given.deadline) as (fleet, how):
            print(f"delays of {QUICK_MS} and {SLOW_MS} ms by {how}")
            moves = measure(fleet, deadline_s=given.deadline, flows=given.flows, busy=given.busy)
            print("\n".join(lines(moves, given.flows, given.busy)))


if __name__ == "__main__":
    from tests.kernel import step_aside

    step_aside()
    main()

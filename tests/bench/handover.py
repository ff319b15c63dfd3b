"""Count the packets that are lost while something takes over under a stream of 1 kHz.

    python -m tests.bench.handover [--kind plain wireguard] [--rounds 10]

Two sites with real agents, a stream of a thousand datagrams a second each way. In each round every
hand-over takes place once: the agent is restarted, and killed and started anew; its configuration
is read again, with a change of the policy, of the peers and of what needs another start; it
starts with programs of a changed build, with such that lay out their records otherwise, and goes
back; WireGuard keys are replaced at one end and at both, and an agent is killed amid that. What is
printed is what the streams lost, of how many, and the longest gap between two datagrams that came
around what was lost; the bar is 0.
"""

import argparse
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from patronus.dataplane.linux import records
from patronus.dataplane.linux.pins import BPF_ROOT
from patronus.dataplane.linux.transfer import OLD
from patronus.engine.units import MS
from tests.bench.gaps import Flow, Traffic
from tests.control.agent.fleet import WANS, Fleet, Site, unique, until
from tests.kernel import step_aside
from tests.rules.tree import ROOT

ENDS: Final = ("hub", "oslo")
KINDS: Final = ("plain", "wireguard")
ROTATION_S: Final = 3.0
"""About what a rotation takes."""
SETTLE_S: Final = 0.3
"""Of the stream before and after."""
BUFFER: Final = 1 << 22
"""Of the receiving sockets: a host that is slow to read has lost nothing on the way."""
SO_RCVBUFFORCE: Final = 33


@dataclass(frozen=True)
class Loss:
    """What the streams lost during one hand-over."""

    sent: int
    lost: int
    gap_ns: int
    """The longest from the last one sent that came to the next one that did, over both ways."""
    took_s: float


class Ends:
    """Two sites that reach each other, and the build of programs that they run."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self.fleet, self.hub, self.oslo = fleet, fleet["hub"], fleet["oslo"]
        self._folder = folder
        self._changed = self._moved = False
        self._drain_s = 60
        self._draw = np.random.default_rng(1)

    # Each is done when it returns.

    def restart(self) -> None:
        """End an agent and start it anew."""
        self.oslo.stop()
        self.oslo.start()

    def kill(self) -> None:
        """As it may be ended by the kernel."""
        self.oslo.stop(signal.SIGKILL)
        self.oslo.start()

    def reload_policy(self) -> None:
        """Let a transport cost something else; the engine goes on."""
        self._reload(lambda text: text["transports"]["red"].update(cost=self._next()), "policy")

    def looked_again(self, spent_ns: int) -> None:
        """Wait until the agent has compared everything once more."""
        until(lambda: self.oslo.show("health")["jobs"]["reconcile"]["spent_ns"] > spent_ns)

    def reload_peers(self) -> None:
        """Another risk group: a new engine takes over."""
        self._reload(lambda text: text["transports"]["red"].update(groups=f"g{self._next()}"),
                     "peers")  # fmt: skip

    def reload_all(self) -> None:
        """What needs another start: the agent begins anew in its process."""
        self._reload(lambda text: text.update(dataplane={"drain": f"{self._next()}s"}), "restart")

    def upgrade(self) -> None:
        """Start the agent with another build of the programs; maps are kept."""
        self._changed = not self._changed
        self.oslo.stop()
        with self._build():
            self.oslo.start()
        way = self.oslo.show("health")["way"]
        assert any("(loaded)" in text for text in way), way

    def upgrade_layout(self) -> None:
        """Start the agent with programs whose records lie otherwise: maps are made anew."""
        self._moved = not self._moved
        self.oslo.stop()
        with self._layout():
            self.oslo.start()
        way = self.oslo.show("health")["way"]
        assert any("(loaded)" in text for text in way), way
        assert not (BPF_ROOT / self.oslo.pins / OLD).exists()

    def rotate_one(self) -> None:
        """Replace the keys of one end."""
        self._rotate(self.oslo)

    def rotate_both(self) -> None:
        """Replace the keys of both ends at the same time."""
        self._rotate(self.oslo, self.hub)

    def rotate_killed(self) -> None:
        """Kill an agent amid a rotation of both ends' keys, at a random step; start it anew."""
        wanted = {site.name: ordered(site) for site in (self.oslo, self.hub)}
        pause(float(self._draw.uniform(0, ROTATION_S)))
        killed = (self.oslo, self.hub)[int(self._draw.integers(2))]
        killed.stop(signal.SIGKILL)
        killed.start()
        until(lambda: all(generations(self.fleet[n]) == wanted[n] for n in wanted), 60)
        for site in (self.oslo, self.hub):
            check_keys(site)

    def _next(self) -> int:
        self._drain_s += 1
        return self._drain_s

    def _reload(self, change: Callable[[dict[str, Any]], object], needs: str) -> None:
        def changed(text: dict[str, Any]) -> None:
            quick(text)
            change(text)

        self.oslo.write(changed)
        before = self.oslo.show("health")["up_ns"]
        assert self.oslo.ask("reload")["needs"] == needs
        if needs != "policy":
            until(lambda: self.oslo.show("health")["up_ns"] < before)

    def _rotate(self, *sites: Site) -> None:
        wanted = {site.name: ordered(site) for site in sites}
        until(lambda: all(generations(s) == wanted[s.name] for s in sites), 60)

    @contextmanager
    def _build(self) -> Iterator[None]:
        """Let what is started run programs that differ from those of this tree, or the same."""
        if not self._changed:
            yield
            return
        with self._tree("changed", [("bpf/wrap.h", "OUTER_HOPS 64", "OUTER_HOPS 63")]):
            yield

    @contextmanager
    def _layout(self) -> Iterator[None]:
        """Let what is started keep tunnels in larger records, with all fields elsewhere, or not."""
        if not self._moved:
            yield
            return
        number = records.LAYOUT
        changes = [
            ("bpf/consts.h", f"#define LAYOUT {number}", f"#define LAYOUT {number + 1}"),
            ("bpf/records.h", "	__s64 heard_ns;", "	__u64 line_new[8];\n	__s64 heard_ns;"),
            ("dataplane/linux/records.py", f"LAYOUT: Final = {number}",
             f"LAYOUT: Final = {number + 1}"),
            ("dataplane/linux/records.py", '("heard_ns", "i8"),',
             '("line_new", "u8", 8), ("heard_ns", "i8"),'),
        ]  # fmt: skip
        with self._tree("moved", changes):
            yield

    @contextmanager
    def _tree(self, name: str, changes: list[tuple[str, str, str]]) -> Iterator[None]:
        """Let what is started come from a copy of this tree with some texts replaced."""
        tree = self._folder / name
        fresh = not tree.exists()
        if fresh:
            shutil.copytree(ROOT / "src" / "patronus", tree / "patronus")
            for file, old, new in changes:
                source = tree / "patronus" / file
                text = source.read_text()
                assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
                source.write_text(text.replace(old, new))
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(tree), before or ""])
        try:
            if fresh:  # a compiler needs longer than an agent that starts is waited for
                build = "import pathlib, sys; from patronus.dataplane.linux import builder; "
                build += "builder.build(pathlib.Path(sys.argv[1]))"
                words = [sys.executable, "-c", build, str(self.fleet.cache)]
                subprocess.run(words, check=True, timeout=300)
            yield
        finally:
            del os.environ["PYTHONPATH"]
            if before is not None:
                os.environ["PYTHONPATH"] = before

    # Streams

    def under(self, hand_over: Callable[[], None]) -> Loss:
        """Return what streams both ways lose while something takes over."""
        with streams(self.oslo, self.hub) as traffic:
            pause(SETTLE_S)
            began = time.monotonic()
            hand_over()
            took_s = time.monotonic() - began
            pause(SETTLE_S)
            marks = [len(flow.sent_ns) for flow in traffic.flows]
            wait(lambda: not missing(traffic, marks), 2.0)
            lost = missing(traffic, marks)
            gap_ns = max(flow.gap_ns(0) for flow in traffic.flows)
        return Loss(sum(marks), lost, gap_ns, took_s)


def hand_overs(ends: Ends) -> dict[str, Callable[[], None]]:
    """Return what can take over, by name."""
    found: dict[str, Callable[[], None]] = {
        "agent restarted": ends.restart,
        "agent killed and restarted": ends.kill,
        "reload of the policy": ends.reload_policy,
        "reload of the peers": ends.reload_peers,
        "reload of everything": ends.reload_all,
        "programs of a changed build": ends.upgrade,
        "programs of another layout": ends.upgrade_layout,
    }
    if ends.fleet.kind == "wireguard":
        found |= {
            "keys of one end": ends.rotate_one,
            "keys of both ends": ends.rotate_both,
            "killed amid a rotation": ends.rotate_killed,
        }
    return found


def ordered(site: Site) -> list[int]:
    """Order a rotation; return the generations that are to come."""
    return [key["generation"] + 1 for key in site.ask("rotate")]


def check_keys(site: Site) -> None:
    """A site has one key for each transport, for itself alone."""
    files = sorted((site.folder / "state" / "keys").iterdir())
    numbers = dict(zip(WANS, generations(site), strict=True))
    assert [f.name for f in files] == [f"{n}.{g}" if g else n for n, g in numbers.items()]
    assert {f.stat().st_mode & 0o777 for f in files} == {0o600}


def generations(site: Site) -> list[int]:
    """Return the generations of a site's keys; none while some are being replaced."""
    keys = site.show("keys")
    return [] if any(k["next_generation"] for k in keys) else [k["generation"] for k in keys]


@contextmanager
def streams(one: Site, other: Site) -> Iterator[Traffic]:
    """Yield a stream each way."""
    flows = [_flow(one, other), _flow(other, one)]
    traffic = Traffic(flows)
    try:
        yield traffic
    finally:
        traffic.close()


def _flow(one: Site, other: Site) -> Flow:
    sender, receiver = one.udp(), other.udp()
    receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    sender.connect(receiver.getsockname())
    return Flow(sender, receiver)


def missing(traffic: Traffic, marks: list[int]) -> int:
    """Return how many of the first ones of each stream have not come."""
    pairs = zip(traffic.flows, marks, strict=True)
    return sum(number not in flow.came for flow, mark in pairs for number in range(mark))


def wait(holds: Callable[[], bool], seconds: float) -> None:
    """Wait until something holds, or no longer."""
    deadline = time.monotonic() + seconds
    while not holds() and time.monotonic() < deadline:
        pause(0.02)


def pause(seconds: float) -> None:
    """Let the packets flow."""
    select.select([], [], [], seconds)


def quick(text: dict[str, Any]) -> None:
    """Let a wan be used again soon after it was lost: trials are quick then."""
    text["policy"]["damping"] = {"hold": "500ms", "max": "500ms"}


@contextmanager
def ends(kind: str, cache: Path) -> Iterator[Ends]:
    """Yield two sites that reach each other over two wans, with two tunnels."""
    with tempfile.TemporaryDirectory(prefix="ag-hand-") as folder:
        fleet = Fleet(Path(folder), cache, unique(), kind, names=ENDS)
        try:
            fleet.build()
            for site in fleet.sites.values():
                site.write(quick)
            fleet.start()
            yield Ends(fleet, Path(folder))
        finally:
            fleet.close()


def line(kind: str, name: str, losses: list[Loss]) -> str:
    """Return what one hand-over cost, as a row of the table."""
    lost, sent = sum(found.lost for found in losses), sum(found.sent for found in losses)
    took = sorted(found.took_s for found in losses)
    gap_ms = max(found.gap_ns for found in losses) / MS
    return (f"| {kind} | {name} | {len(losses)} | {took[len(took) // 2]:.1f} s | {sent} | {lost} "
            f"| {gap_ms:.1f} ms | 0{', missed' if lost else ''} |")  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--only", nargs="+", default=[], help="hand-overs whose name has one of it")
    given = parser.parse_args()
    step_aside()
    cache = Path(tempfile.gettempdir()) / "patronus-bench"
    print("| tunnels | hand-over | times | took | sent | lost | longest gap | bar |")
    print("|---|---|---|---|---|---|---|---|")
    for kind in given.kind:
        with ends(kind, cache) as found:
            for name, hand_over in hand_overs(found).items():
                if given.only and not any(word in name for word in given.only):
                    continue
                losses = [found.under(hand_over) for _ in range(given.rounds)]
                print(line(kind, name, losses), flush=True)


if __name__ == "__main__":
    main()

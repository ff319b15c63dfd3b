"""Measure what it costs when ``wireguard-go`` of the tunnel in use is killed, or stopped.

    python -m tests.bench.deaths [--times 50]

Two sites with real agents, two wans, a stream of a thousand datagrams a second each way. Traffic
moves to the other tunnel; the gap is the longer one of both streams', measured as in
``tests/bench/gaps.py``. The device is back when there is another one
in its place through which the peer was heard.
"""

import argparse
import os
import signal
import tempfile
import time
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from patronus.control.agent.devices import ownership
from patronus.dataplane.linux.pins import Pins
from patronus.engine.units import MS, SECOND
from tests.bench.handover import SETTLE_S, Ends, ends, pause, streams
from tests.control.agent.fleet import Site, until
from tests.kernel import step_aside

GAP_BAR_MS: Final = 35
REBUILT_BAR_S: Final = 2.0
FIELDS: Final = ("ifindex", "ifindex_twin")
"""Of a row: the devices of keys of even and of odd generations."""


def death(given: Ends, sign: signal.Signals) -> tuple[int, float]:
    """Let what carries the tunnel in use die; return the gap in ns, and when it is back in s."""
    given.fleet.wait()
    for site in (given.oslo, given.hub):
        until(partial(_prefers_blue, site))
    (key,) = [k for k in given.oslo.show("keys") if k["transport"] == "blue"]
    odd = key["generation"] & 1
    device, field = ownership(given.oslo.site).prefix + ("0t" if odd else "0"), FIELDS[odd]
    row = [t["transport"] for t in given.oslo.show("health")["tunnels"]].index("blue")
    with closing(Pins.open(given.oslo.pins)) as pins, streams(given.oslo, given.hub) as traffic:
        tunnels: Any = pins.array("tunnels")
        pause(SETTLE_S)
        (dead,), before = carriers(device), int(tunnels[field][row])
        began_ns = time.monotonic_ns()
        os.kill(dead, sign)
        until(lambda: int(tunnels[field][row]) != before)
        made_ns = time.monotonic_ns()
        until(lambda: int(tunnels["heard_ns"][row]) > made_ns)
        back_ns = int(tunnels["heard_ns"][row])
        pause(SETTLE_S)
        gap_ns = max(flow.gap_ns(0) for flow in traffic.flows)
    return gap_ns, (back_ns - began_ns) / SECOND


def _prefers_blue(site: Site) -> bool:
    return all(str(path["path"]).startswith("blue>") for path in site.show("paths"))


def carriers(device: str) -> set[int]:
    """Return the processes of a WireGuard device; one, but for a moment."""
    found = set()
    for folder in Path("/proc").iterdir():
        with suppress(OSError):  # no process, or one that has just ended
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if words[1:3] == [b"-f", device.encode()]:
                found.add(int(folder.name))
    return found


def line(sign: signal.Signals, found: list[tuple[int, float]]) -> str:
    """Return what deaths cost, as a row of the table."""
    gaps = sorted(gap / MS for gap, _ in found)
    back = sorted(seconds for _, seconds in found)
    p99 = gaps[-(-len(gaps) * 99 // 100) - 1]
    missed = ", missed" if p99 > GAP_BAR_MS or back[-1] > REBUILT_BAR_S else ""
    return (
        f"| {sign.name} | {len(found)} | {gaps[len(gaps) // 2]:.1f} | {p99:.1f} | {gaps[-1]:.1f} "
        f"| {back[len(back) // 2]:.2f} | {back[-1]:.2f} "
        f"| {GAP_BAR_MS} ms, {REBUILT_BAR_S:g} s{missed} |"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=50)
    given = parser.parse_args()
    step_aside()
    print("| signal | times | gap p50 ms | p99 ms | worst ms | back p50 s | worst s | bar |")
    print("|---|---|---|---|---|---|---|---|")
    with ends("wireguard", Path(tempfile.gettempdir()) / "patronus-bench") as found:
        for sign in (signal.SIGKILL, signal.SIGSTOP):
            print(line(sign, [death(found, sign) for _ in range(given.times)]), flush=True)


if __name__ == "__main__":
    main()

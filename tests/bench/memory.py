"""Measure the memory of whole runs beside what is estimated of them (``sim/footprint.py``).

    python -m tests.bench.memory [NAME …]

Each run is a process of its own, without a report; its peak is what the system counts. The
largest case takes minutes.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import NamedTuple

from patronus.sim.footprint import MB, footprint
from patronus.sim.language import parse

SCENARIO = """\
version: 1
name: large
duration: {seconds}s
topology: {topology}
transports: [mpls, broadband]
classes:
  voice: {{match: [{{dscp: ef}}], sla: {{latency: 150ms, jitter: 30ms, loss: 1%, mos: 4.0}}}}
  video: {{match: [{{dscp: af41}}], sla: {{latency: 200ms, jitter: 50ms, loss: 2%}}}}
  default: {{}}
groups: {{cut: ["access:{spoke}1:mpls", "access:{spoke}2:mpls"]}}
traffic: [{{class: voice, from: "*", to: "*", rate: 64kbps, packet: 200B, peers: {peers}}}]
faults: [{fault}]
"""

CUT = "{kind: blackhole, at: 1s, for: 5s, on: {site: %s, transport: mpls}}"
CRASH = "{kind: site-crash, at: 1s, on: {site: hub1}}"


class Case(NamedTuple):
    """A scenario of some size, and the peak that was measured last."""

    sites: int
    peak_mb: int = 0
    hubs: int = 0
    fault: str = CUT % "site1"
    peers: int = 1
    seconds: int = 3

    @property
    def name(self) -> str:
        """As it is called on the command line."""
        kind = "hubs" if self.hubs else "mesh"
        more = "-all" * (not self.peers) + "-crash" * ("crash" in self.fault)
        return f"{kind}-{self.sites}-{self.seconds}s{more}"

    def text(self) -> str:
        """Return the scenario file."""
        mesh = f"hub-and-spoke, hubs: {self.hubs}" if self.hubs else "full-mesh"
        return SCENARIO.format(
            seconds=self.seconds,
            topology=f"{{mesh: {mesh}, sites: {self.sites}}}",
            spoke="spoke" if self.hubs else "site",
            peers=self.peers,
            fault=self.fault,
        )


CASES = (
    Case(3, 148),
    Case(50, 324, peers=0, seconds=60),
    Case(200, 353),
    Case(200, 372, seconds=30),
    Case(500, 815),
    Case(1000, 2827, seconds=60),
    Case(500, 265, hubs=4, fault=CUT % "spoke1"),
    Case(1000, 631, hubs=4, fault=CUT % "spoke1"),
    Case(1000, 997, hubs=4, fault=CRASH),
)
"""The largest mesh was measured by ``tests/bench/scale.py``, report included."""

RUN = """
import json, sys
from patronus.sim import run
from patronus.sim.language import parse
summary = run(parse(sys.stdin.read())).summary
print(json.dumps([summary["peak_rss_mb"], summary["counts"]]))
"""


def main(names: Sequence[str]) -> None:
    """Print the table."""
    print(f"{'case':22}{'tunnels':>12}{'exposures':>11}{'peak':>10}{'estimated':>11}")
    for case in CASES:
        if names and case.name not in names:
            continue
        words = [sys.executable, "-c", RUN]
        done = subprocess.run(
            words, input=case.text(), stdout=subprocess.PIPE, text=True, check=True
        )
        peak, counts = json.loads(done.stdout)
        line = f"{case.name:22}{counts['tunnels']:12,}{counts['exposures']:11,}"
        peak_mb = peak * 1024 * 1024 // MB
        need_mb = footprint(parse(case.text())).needed // MB
        print(f"{line}{peak_mb:7,} MB{need_mb:8,} MB  {need_mb / peak_mb:.2f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])

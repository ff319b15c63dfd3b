"""Studies that go wrong, where the process of a study can import them."""

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patronus.engine.units import SECOND
from patronus.sim.faults.selectors import Network
from patronus.sim.language import load
from patronus.sim.scenario import FaultSpec, Selector
from patronus.sim.whatif.failures import Failure, FailureKind
from patronus.sim.whatif.orders import Orders, prepare

SCENARIO = """\
version: 1
about: Two hubs and three branches; only one of them has a second carrier.
topology:
  mesh: hub-and-spoke
  sites:
    - {name: h1, hub: true}
    - {name: h2, hub: true}
    - {name: s1}
    - {name: s2}
    - {name: s3, transports: [mpls]}
transports: {mpls: {provider: "ring:4"}, broadband: {provider: "ring:3"}}
duration: 30s
classes:
  voice: {match: [{dscp: ef}], sla: {latency: 150ms, jitter: 30ms, loss: 3%}, prefer: [mpls]}
  default: {}
groups: {duct: ["access:s1:mpls", "access:s2:mpls"]}
traffic:
  - {class: voice, from: spokes, to: all, rate: 64kbps, packet: 200B}
  - {class: default, from: spokes, to: hubs, rate: 1Mbps, both_ways: false}
faults:
  - {name: own, kind: blackhole, at: 1s, on: {site: s1, transport: mpls}}
expect:
  - failover.max < 250ms
  - failover.max < 1ns for fault=own
"""
"""Small, and every kind of failure is in it."""


def scenario(folder: Path, text: str = SCENARIO) -> Path:
    """Write the scenario file."""
    path = folder / "small.patronus.yml"
    path.write_text(text)
    return path


def orders(path: Path, **asked: Any) -> Orders:
    """Return what to ask of a scenario file."""
    given = load(path)
    studied, expectations = prepare(given, 4 * SECOND)
    return Orders(studied, given.seed, expectations=expectations, **asked)


class Strike(Sequence[FaultSpec]):
    """Faults that end a process when a child takes them on: its own, or the nursery's."""

    def __init__(self, whom: str) -> None:
        self.whom = whom

    def __len__(self) -> int:
        return 1

    def __getitem__(self, place: Any) -> Any:
        os.kill(os.getpid() if self.whom == "me" else os.getppid(), signal.SIGKILL)
        raise IndexError(place)


@dataclass(frozen=True, slots=True)
class Doomed(Orders):
    """Orders with failures that cannot be simulated among the others."""

    whom: str = "me"

    def failures(self, network: Network) -> list[Failure]:
        """Return a failure that kills, one that hits nothing, and the others."""
        others = Orders.failures(self, network)
        fault: FaultSpec = others[0].faults[0]
        nowhere = Failure("nowhere", FailureKind.LINK, "", (_missing(fault),))
        deadly = Failure("deadly", FailureKind.LINK, "", Strike(self.whom))
        return [deadly, nowhere, *others]


def _missing(fault: FaultSpec) -> FaultSpec:
    return FaultSpec("nowhere", fault.kind, Selector(sites=("atlantis",)), fault.schedule)

"""What an exposure is charged with, when the path that saved it fails, too."""

import pytest

from patronus.engine.units import MS
from patronus.sim.api import run
from patronus.sim.language import parse

TWICE = """
version: 1
name: twice
duration: 16s
topology: {mesh: full-mesh, sites: 2}
transports:
  mpls: {up: {loss: 0%, burst: none}, down: {loss: 0%, burst: none}}
  broadband: {up: {loss: 0%, burst: none}, down: {loss: 0%, burst: none}}
classes:
  office: {prefer: mpls}
traffic:
  - {class: office, from: site1, to: site2, rate: 1Mbps}
faults:
  - {name: first, kind: blackhole, at: 5s, for: 9s, on: {site: site1, transport: mpls}}
  - {name: second, kind: blackhole, at: 5600ms, for: 400ms, on: {site: site1, transport: broadband}}
"""


def test_an_outage_goes_on_when_the_path_that_saved_it_dies() -> None:
    """Left after three probes of 100 ms, and soon after that 400 ms without any path."""
    failovers = run(parse(TWICE), seed=1).failovers
    first = failovers[(failovers["fault"] == "first#0") & (failovers["site"] == "site1")]
    (switch_ns,), (outage_ns,) = first["switch_ns"], first["outage_ns"]
    assert switch_ns < 400 * MS
    assert outage_ns == pytest.approx(switch_ns + 400 * MS, abs=20 * MS)

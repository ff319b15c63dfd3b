"""A class without limits: which loss it bears, and for what."""

from pathlib import Path

import pytest

from patronus.sim import load, run

SCENARIO = """
version: 1
topology: {mesh: hub-and-spoke, sites: 2, hubs: 1}
transports: [mpls, broadband]
classes: {rest: {}}
policy: {cost: {broadband: COST}}
traffic:
  - {class: rest, from: spokes, to: hubs, rate: 1Mbps, packet: 500B}
duration: 15s
faults:
  - {kind: loss, at: 10s, on: {site: spoke1, transport: mpls, direction: out}, loss: LOSS}
expect: [loops == 0]
"""


@pytest.mark.parametrize(
    ("cost", "loss", "leaves"), [(0, "20%", True), (10, "20%", False), (10, "60%", True)]
)
def test_loss_weighs_less_than_cost_until_half_is_lost(
    cost: int, loss: str, leaves: bool, tmp_path: Path
) -> None:
    """A path as cheap is taken at the next evaluation; a dearer one when half and more is lost."""
    path = tmp_path / "loss.patronus.yml"
    path.write_text(SCENARIO.replace("COST", str(cost)).replace("LOSS", loss))
    moves = run(load(path), seed=7).decisions
    own = moves[(moves.site == "spoke1") & (moves["from"] == "mpls>hub1")]
    assert bool(len(own)) == leaves
    assert (own.t_ns < 11_500_000_000).all()

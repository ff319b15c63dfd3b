"""Planned moves of pinned flows, and shares of flows, with real agents and real packets."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench.drain import far_apart, lines, measure
from tests.control.agent.fleet import Fleet, running, until

pytestmark = [pytest.mark.root, pytest.mark.slow]

DEADLINE_S = 3
FLOWS, BUSY = 6, 2


def test_pinned_flows_move_without_loss_or_reordering(cache: Path, tmp_path: Path) -> None:
    """From 50 to 10 ms in a pause, back at once; who never pauses moves at the deadline.

    So do the answers, each by their own pauses.
    """
    with far_apart(tmp_path, cache, DEADLINE_S) as (fleet, _):
        moves = measure(fleet, deadline_s=DEADLINE_S, flows=FLOWS, busy=BUSY)
    print("\n".join(lines(moves, FLOWS, BUSY)))  # noqa: T201  # figures are for whoever reads on
    quicker, slower = moves["slow to quick"], moves["quick to slow"]
    assert quicker.lost == slower.lost == (0, 0)
    assert quicker.reordered == slower.reordered == slower.forced == (0, 0)
    for notes in (quicker.notes, quicker.far_notes):
        assert (quicker.stayed, notes["drain_forced"], notes["pin_moved"]) == (BUSY, BUSY, 0)
        assert notes["drained"] == FLOWS
    assert slower.notes["drain_forced"] == slower.far_notes["drain_forced"] == 0


@pytest.fixture
def sharing(cache: Path, tmp_path: Path) -> Iterator[Fleet]:
    """Return two sites whose one class shares its flows over two wans."""

    def change(text: dict[str, Any]) -> None:
        text["classes"] = {"rest": {"share": {"blue": 1, "red": 3}}}
        for transport in text["transports"].values():
            del transport["cost"]

    with running(tmp_path, cache, change) as fleet:
        yield fleet


def test_flows_are_shared_by_weight(sharing: Fleet) -> None:
    """Of many flows to one site about three quarters take the transport with three parts."""
    oslo, hub = sharing["oslo"], sharing["hub"]

    def shares() -> dict[str, int]:
        path = oslo.show("paths")[0]
        names = (name.partition(">")[0] for name in path["candidates"])
        return dict(zip(names, path["shares"], strict=False))

    until(lambda: shares() == {"blue": 4, "red": 12})
    before = {t: oslo.tunnel(f"{t}>hub")["sent_packets"] for t in ("blue", "red")}
    count = 400
    receiver = hub.udp(7500)
    for _ in range(count):
        with oslo.udp() as sender:
            sender.sendto(b"flow", receiver.getsockname())
    receiver.close()
    went = {t: oslo.tunnel(f"{t}>hub")["sent_packets"] - before[t] for t in ("blue", "red")}
    assert sum(went.values()) == count
    # Four standard deviations.
    assert abs(went["red"] - 300) <= 35, went
    told = oslo.call("show", "paths").stdout
    assert "red>hub" in told or "12/16" in told

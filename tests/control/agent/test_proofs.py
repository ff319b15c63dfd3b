"""Authenticated probes between two sites on the loopback device, and what is said without them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from patronus.control.agent.ground import Ground
from patronus.control.agent.meeting import Lane, Where
from patronus.control.agent.pairing import Pairing
from patronus.control.agent.proofs import WINDOW, Proofs
from patronus.control.config.layout import layout
from patronus.engine.units import MS, PPM, SECOND
from tests.control.agent.fleet import Site, running
from tests.control.agent.fleet import until as wait
from tests.control.config.files import KEYS, config

pytestmark = pytest.mark.root

ENDS = {"a": "127.0.0.2", "b": "127.0.0.3"}
TEXT = f"""
version: 1
site: {{own}}
state: nowhere
transports:
  blue: {{{{interface: lo, address: {{here}}, kind: plain, proofs: 100ms}}}}
lan: {{{{interfaces: eth2, prefixes: 10.1.0.0/16}}}}
peers:
  {{peer}}: {{{{key: {KEYS[0]}, endpoints: {{{{blue: {{there}}}}}}}}}}
"""
ALIVE, DEAD = np.array([False]), np.array([True])


class End:
    """One site."""

    def __init__(self, own: str, peer: str, secret: bytes = b"shared") -> None:
        it = config(text=TEXT.format(own=own, peer=peer, here=ENDS[own], there=ENDS[peer]))
        pairings = {peer: Pairing(own, peer, secret)}
        self.proofs = Proofs(it, layout(it), pairings, Ground(it, []))
        self.lanes = [Lane(0, peer, "blue", b"", Where(ENDS[peer], 4511), fixed=True)]

    def look(self, silent: "np.typing.NDArray[np.bool_]" = ALIVE, later_ns: int = 0) -> None:
        self.proofs.ensure(self.lanes, silent, time.monotonic_ns() + later_ns)

    def state(self) -> dict[str, int | None]:
        found = self.proofs.state(0, time.monotonic_ns())
        assert found is not None
        return found


async def until(true: Callable[[], bool]) -> None:
    """Wait for what the sessions, which tell nobody of their samples, bring about."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(20):
        while not true():
            turn = loop.create_future()
            loop.call_later(0.01, turn.set_result, None)
            await turn


def between(meet: "Callable[[End, End], Awaitable[None]]", *, secret: bytes = b"shared") -> None:
    """Let two sites probe each other, and do something with them."""

    async def run() -> None:
        ends = End("a", "b"), End("b", "a", secret)
        try:
            for end in ends:
                end.look()
            await meet(*ends)
        finally:
            for end in ends:
                end.proofs.close()

    asyncio.run(run())


def test_both_ends_are_proven() -> None:
    """Round trips, losses and the last proof are known at both ends, and nothing is amiss."""

    async def meet(one: End, other: End) -> None:
        for end in (one, other):
            assert end.state() == {"silent_ns": None, "rtt_ns": None, "loss_ppm": None}
        await until(lambda: all((e.state()["loss_ppm"] is not None) for e in (one, other)))
        await until(lambda: all((e.state()["silent_ns"] or 0) > 0 for e in (one, other)))
        for end in (one, other):
            end.look()
            assert 0 < (end.state()["rtt_ns"] or 0) < SECOND
            assert end.proofs.troubles == []
            assert set(end.proofs.refused.values()) == {0}

    between(meet)


def test_a_tunnel_that_is_alive_without_proof_is_a_trouble() -> None:
    """The peer has another secret: what it sends is refused and counted; a dead one is no news."""

    async def meet(one: End, other: End) -> None:
        await until(lambda: one.proofs.refused.get("hmac", 0) > 0)
        assert one.state()["silent_ns"] is None
        one.look(later_ns=2 * SECOND)
        (trouble,) = one.proofs.troubles
        assert trouble.startswith("blue>b is alive, but not proven")
        one.look(DEAD, later_ns=2 * SECOND)
        assert one.proofs.troubles == []

    between(meet, secret=b"another")


def test_a_new_address_of_the_peer_begins_a_new_session() -> None:
    """A peer that roams is probed where it is, and proofs go on."""

    async def meet(one: End, other: End) -> None:
        await until(lambda: one.state()["silent_ns"] is not None)
        one.lanes[0].where = Where("127.0.0.9", 4511)
        one.look()
        assert one.state()["loss_ppm"] is None
        one.lanes[0].where = Where(ENDS["b"], 4511)
        one.look()
        before = one.state()["silent_ns"]
        await until(lambda: (one.state()["silent_ns"] or 0) < (before or 0))

    between(meet)


def test_losses_are_those_of_the_last_probes() -> None:
    """Of a window's probes those that did not come back, but for the one that is under way."""

    async def meet(one: End, other: End) -> None:
        await until(lambda: one.state()["silent_ns"] is not None)
        other.proofs.close()
        began_ns = time.monotonic_ns()
        await until(lambda: (one.state()["loss_ppm"] or 0) > 0)
        assert time.monotonic_ns() - began_ns < WINDOW * 100 * MS
        assert (one.state()["loss_ppm"] or 0) < PPM

    between(meet)


@pytest.mark.slow
def test_agents_prove_their_plain_tunnels(cache: Path, tmp_path: Path) -> None:
    """Each end shows when the other one last proved itself; WAN by WAN, over marked sockets."""

    def change(text: dict[str, Any]) -> None:
        for transport in text["transports"].values():
            transport["proofs"] = "200ms"

    with running(tmp_path, cache, change) as fleet:
        for site, peer in ((fleet["oslo"], "hub"), (fleet["hub"], "oslo")):
            wait(partial(_proven, site, peer))


def _proven(site: Site, peer: str) -> bool:
    known = [site.tunnel(f"{wan}>{peer}")["proof"]["rtt_ns"] for wan in ("blue", "red")]
    return all(known) and not any("proven" in t for t in site.show("health")["troubles"])

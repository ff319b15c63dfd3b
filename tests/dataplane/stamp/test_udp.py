"""Authenticated sessions over real sockets of the loopback device."""

import asyncio
import socket

import pytest

from patronus.dataplane.stamp.fields import Refusal
from patronus.dataplane.stamp.peer import Peer
from patronus.dataplane.stamp.reflector import Reflector
from patronus.dataplane.stamp.session import Sample, Session
from patronus.dataplane.stamp.tlv import Liveness
from patronus.dataplane.stamp.udp import Listener, Sender
from patronus.engine.units import MS, SECOND

DETECT = 300 * MS


class End:
    """A listener for probes of one address, and the sender of one session."""

    def __init__(self, key: bytes, address: str) -> None:
        self.peer = Peer(5, DETECT)
        self.reflector = Reflector(key, 7, self.peer)
        self.listener = Listener({address: self.reflector})
        self.session = Session("a>b", 100 * MS, ssid=7, session=5)
        self.sender = Sender(self.session, self.peer, key, self.take)
        self.samples: asyncio.Queue[tuple[Sample, Liveness]] = asyncio.Queue()

    def take(self, sample: Sample, told: Liveness) -> None:
        self.samples.put_nowait((sample, told))

    def stop(self) -> None:
        self.sender.stop()
        self.listener.stop()


async def samples_of(near: End, address: str, port: int, count: int) -> list[Sample]:
    near.sender.start(address, address, port)
    async with asyncio.timeout(20):
        return [(await near.samples.get())[0] for _ in range(count)]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_samples_come_back_authenticated(address: str) -> None:
    """Round trips over the loopback are short, counted, and let both ends hear each other."""

    async def run() -> None:
        near, far = End(b"key", address), End(b"key", address)
        try:
            port = far.listener.start(address, 0)
            samples = await samples_of(near, address, port, 3)
        finally:
            near.stop()
            far.stop()
        assert [s.sequence for s in samples] == [0, 1, 2]
        assert [s.heard_count for s in samples] == [1, 2, 3]
        assert all(0 < s.rtt_ns < SECOND and s.hops == 0 for s in samples)
        assert near.peer.tunnel.confirmed_ns == samples[-1].arrived_ns
        assert far.peer.tunnel.confirmed_ns > 0, "our H bit was set after the first reflection"

    asyncio.run(run())


def test_other_keys_and_strangers_are_counted() -> None:
    """What another key made, or who is not known, gets no answer; others still do."""

    async def run() -> None:
        wrong, right = End(b"other", "127.0.0.1"), End(b"key", "127.0.0.1")
        far = End(b"key", "127.0.0.1")
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        stranger.bind(("127.0.0.2", 0))
        try:
            port = far.listener.start("127.0.0.1", 0)
            stranger.sendto(b"?", ("127.0.0.1", port))
            wrong.sender.start("127.0.0.1", "127.0.0.1", port)
            # Both probe in the same phase, so what the wrong one sent has come by then.
            await samples_of(right, "127.0.0.1", port, 3)
        finally:
            for end in (wrong, right, far):
                end.stop()
            stranger.close()
        assert far.listener.strangers == 1
        assert far.reflector.refused[Refusal.HMAC] >= 2
        assert wrong.samples.empty()

    asyncio.run(run())


def test_an_address_that_is_not_ours_is_an_error() -> None:
    """A listener says at once that it cannot listen."""

    async def run() -> None:
        with pytest.raises(OSError, match="Cannot assign"):
            Listener({}).start("192.0.2.1", 0)

    asyncio.run(run())

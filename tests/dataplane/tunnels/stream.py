"""A stream of a thousand packets a second whose way may change while it flows."""

import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

NUMBER = struct.Struct("!I")
INTERVAL_S = 0.001
LAST_S = 0.5
"""What is still on its way after this is lost."""

Way = Callable[[], tuple[socket.socket, tuple[str, int]]]
"""Which socket to send the next packet from, and whither."""


@dataclass
class Stream:
    """What was sent and what arrived."""

    sent: int = 0
    arrived: set[int] = field(default_factory=set)
    ways: set[str] = field(default_factory=set)

    @property
    def lost(self) -> int:
        """Packets that never arrived."""
        return self.sent - len(self.arrived)


@contextmanager
def flowing(way: Way, receivers: Sequence[socket.socket]) -> Iterator[Stream]:
    """Let a stream flow; at the end wait for the last packets."""
    stream, stop, ended = Stream(), threading.Event(), threading.Event()

    def send() -> None:
        due = time.monotonic()
        while not stop.wait(max(0.0, due - time.monotonic())):
            due += INTERVAL_S
            sender, target = way()
            sender.sendto(NUMBER.pack(stream.sent), target)
            stream.sent += 1
            stream.ways.add(target[0] + sender.getsockname()[0])

    def receive() -> None:
        while True:
            ready, _, _ = select.select(receivers, [], [], LAST_S)
            for receiver in ready:
                stream.arrived.add(NUMBER.unpack(receiver.recv(100))[0])
            if not ready and ended.is_set():
                return

    threads = [threading.Thread(target=job) for job in (send, receive)]
    for thread in threads:
        thread.start()
    try:
        yield stream
    finally:
        stop.set()
        threads[0].join()
        ended.set()
        threads[1].join()

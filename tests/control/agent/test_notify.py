"""Signs of life to systemd, where it asked for them."""

import socket
from pathlib import Path

from patronus.control.agent.notify import Notifier
from patronus.engine.units import NEVER, SECOND


def test_states_reach_whoever_asked(tmp_path: Path) -> None:
    """One datagram with a line a state; the watchdog is fed twice as often as asked."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "10000000"}
        notifier = Notifier(environment)
        assert notifier.tell("READY=1", "STATUS=well")
        assert systemd.recv(100) == b"READY=1\nSTATUS=well"
        assert notifier.watchdog_ns == 5 * SECOND


def test_nobody_asked() -> None:
    """Without systemd nothing is sent, and nothing goes wrong."""
    notifier = Notifier({})
    assert not notifier.tell("READY=1")
    assert notifier.watchdog_ns == NEVER
    assert not Notifier({"NOTIFY_SOCKET": "/nowhere/at/all"}).tell("READY=1")

"""Tells systemd how the agent is: sd_notify(3) without a library."""

import os
import socket
from contextlib import suppress
from typing import Final

from patronus.engine.units import NEVER, US

ENVIRONMENT: Final = "NOTIFY_SOCKET"
WATCHDOG: Final = "WATCHDOG_USEC"


class Notifier:
    """Sends states to whoever started us, if it asked for them."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        env = dict(os.environ) if environment is None else environment
        self._where = env.get(ENVIRONMENT, "")
        wanted = env.get(WATCHDOG, "")
        self.watchdog_ns = int(wanted) * US // 2 if wanted.isdecimal() and int(wanted) else NEVER
        """Between two signs of life: half of what is asked for, as systemd advises."""

    def tell(self, *states: str) -> bool:
        """Send states such as ``READY=1``; tell whether anybody was there to hear."""
        if not self._where.startswith(("/", "@")):
            return False
        where = "\0" + self._where[1:] if self._where[0] == "@" else self._where
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto("\n".join(states).encode(), where)
            return True
        return False

"""BFD sessions with routers that are not ours, and what their ends mean to us.

A neighbour on a *transport* is the provider's router there. When its session fails, the tunnels
over the transport are taken for dead at once, as if the interface had lost its carrier; they come
back by their own probes, which see more of the way than BFD does.

A neighbour on the *LAN* leads to our own prefixes. While one has failed and none is up, our side
of them is told to be down, and others look for another site that announces them.

A session *fails* when it was up and silence, or the neighbour's own word, ends that. One that has
never been up tells nothing, nor does one that the neighbour holds down administratively.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from patronus.control.agent.wanted import Unsupported
from patronus.control.config.model import AgentConfig, BfdNeighbour
from patronus.dataplane.bfd.authentication import Authentication, AuthType
from patronus.dataplane.bfd.driver import Driver
from patronus.dataplane.bfd.intervals import Settings
from patronus.dataplane.bfd.machine import Diagnostic, State
from patronus.dataplane.bfd.session import Session, StateChanged
from patronus.dataplane.bfd.sockets import Peer
from patronus.engine.units import US

log: Final = logging.getLogger("patronus.agent")

Keys = dict[str, Authentication]
"""By neighbour."""


def keys(config: AgentConfig) -> Keys:
    """Return what neighbours authenticate by.

    Raises:
        Unsupported: a key cannot be read or used.
    """
    found = {}
    for neighbour in config.bfd:
        if not neighbour.key:
            continue
        kind = AuthType.METICULOUS_KEYED_SHA1 if neighbour.meticulous else AuthType.KEYED_SHA1
        try:
            secret = Path(neighbour.key).read_bytes().strip()
            found[neighbour.name] = Authentication(
                kind, {neighbour.key_id: secret}, neighbour.key_id
            )
        except OSError as error:
            told = f"{neighbour.key} cannot be read: {error.strerror}"
            raise Unsupported(f"bfd {neighbour.name}: {told}") from None
        except ValueError as error:
            raise Unsupported(f"bfd {neighbour.name}: {neighbour.key}: {error}") from None
    return found


@dataclass(slots=True)
class _Known:
    """One neighbour with its session."""

    wanted: BfdNeighbour
    peer: Peer
    session: Session | None = None
    """None: it could not begin."""
    trouble: str = ""
    failed: bool = False
    changes: int = 0
    changed_ns: int = 0
    why: Diagnostic = Diagnostic.NO_DIAGNOSTIC
    """Of the last time that it left Up."""


class Neighbours:
    """The sessions of one agent; lives in its event loop."""

    def __init__(
        self, config: AgentConfig, agreed: Keys, failed: Callable[[BfdNeighbour], object]
    ) -> None:
        """Begin all sessions.

        Args:
            config: of the site.
            agreed: of :func:`keys`.
            failed: called when a session fails, and when one of the LAN is up again.
        """
        self._agreed, self._failed = agreed, failed
        self.driver = Driver(self._event)
        self._known = [_Known(each, _peer(config, each)) for each in config.bfd]
        self._by_peer = {each.peer: each for each in self._known}
        self.ensure()

    def ensure(self) -> None:
        """Begin the sessions that could not begin before."""
        for each in self._known:
            if each.session is None:
                self._begin(each)

    def _begin(self, each: _Known) -> None:
        wanted, interval_us = each.wanted, each.wanted.interval_ns // US
        settings = Settings(
            desired_min_tx_us=interval_us,
            required_min_rx_us=interval_us,
            detect_mult=wanted.multiplier,
        )
        agreed = self._agreed.get(wanted.name)
        try:
            each.session = self.driver.add(each.peer, settings, authentication=agreed)
            each.trouble = ""
        except OSError as error:
            told = f"bfd {wanted.name}: {error.strerror}"
            if told != each.trouble:
                log.warning("trouble: %s", told)
            each.trouble = told

    def _event(self, peer: Peer, event: StateChanged) -> None:
        each = self._by_peer[peer]
        each.changes += 1
        each.changed_ns = event.at_ns
        log.info(
            "bfd neighbour=%s was=%s is=%s diagnostic=%s", each.wanted.name,
            event.before.name.lower(), event.after.name.lower(), event.diagnostic.name.lower(),
        )  # fmt: skip
        if event.after is State.UP:
            was, each.failed = each.failed, False
            if was and each.wanted.transport is None:
                self._failed(each.wanted)
        elif event.before is State.UP:
            each.why = event.diagnostic
            each.failed = not _held_down(each.session)
            if each.failed:
                self._failed(each.wanted)

    @property
    def lan_up(self) -> bool:
        """Whether the LAN's routers may lead to our prefixes."""
        lan = [each for each in self._known if each.wanted.transport is None]
        up = any(e.session is not None and e.session.state is State.UP for e in lan)
        return up or not any(each.failed for each in lan)

    @property
    def troubles(self) -> list[str]:
        """What keeps sessions from beginning, in sentences."""
        return [each.trouble for each in self._known if each.trouble]

    def answer(self) -> dict[str, Any]:
        """Return how the sessions are, as ``show bfd`` prints it."""
        driver, now_ns = self.driver, time.monotonic_ns()
        return {
            "neighbours": [_shown(each, now_ns) for each in self._known],
            "lan_up": self.lan_up,
            "received": driver.received,
            "sent": driver.sent,
            "send_errors": driver.send_errors,
            "discards": {str(why): count for why, count in sorted(driver.discards.items())},
        }

    def close(self) -> None:
        """End all sessions; their peers hear nothing more."""
        self.driver.close()


def _held_down(session: Session | None) -> bool:
    """Tell whether the neighbour has said that it wants no session at present."""
    remote = session.remote if session else None
    return (
        remote is not None
        and session is not None
        and session.diagnostic is Diagnostic.NEIGHBOR_SIGNALED_SESSION_DOWN
        and remote.state is State.ADMIN_DOWN
    )


def _peer(config: AgentConfig, neighbour: BfdNeighbour) -> Peer:
    """Return whom a session talks to: over the transport's or the LAN's interface."""
    address = ip_address(neighbour.address)
    if neighbour.transport is None:
        return Peer(address, neighbour.interface)
    transport = config.transport(neighbour.transport)
    own = ip_address(transport.address) if transport.address else None
    # An IPv6 neighbour of a transport with an IPv4 address: the kernel picks ours.
    local = own if own is not None and own.version == address.version else None
    return Peer(address, transport.interface, local)


def _shown(each: _Known, now_ns: int) -> dict[str, Any]:
    session, wanted = each.session, each.wanted
    remote = session.remote if session else None
    return {
        "neighbour": wanted.name,
        "address": wanted.address,
        "transport": wanted.transport,
        "interface": each.peer.interface,
        "state": session.state.name.lower() if session else None,
        "remote_state": remote.state.name.lower() if remote else None,
        "failed": each.failed,
        "why": each.why.name.lower(),
        "changes": each.changes,
        "since_ns": now_ns - each.changed_ns if each.changes else None,
        "transmit_us": session.transmit_interval_us if session else None,
        "detection_ns": session.detection_time_ns or None if session else None,
        "authenticated": bool(wanted.key),
        "trouble": each.trouble or None,
    }

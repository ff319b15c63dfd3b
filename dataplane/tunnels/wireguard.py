"""WireGuard devices, whoever carries them: the kernel or ``wireguard-go``.

One device a transport and generation of keys, any number of peers on it. AllowedIPs hold only
the tunnel addresses of each peer (DATAPLANE 4): user packets travel behind the overlay header,
so direct and transit paths to one LAN coexist.
"""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from ipaddress import IPv6Address
from typing import Final, Protocol

from patronus.dataplane.linkdump import link
from patronus.dataplane.tunnels.driver import (
    DeviceState,
    Drift,
    Health,
    Outcome,
    TunnelTrouble,
)
from patronus.dataplane.tunnels.keys import public_of, shown
from patronus.dataplane.tunnels.links import Found, Links
from patronus.dataplane.tunnels.roaming import Roaming
from patronus.dataplane.tunnels.spec import Address, DeviceSpec, Endpoint, Kind
from patronus.dataplane.tunnels.wgdevice import Look, PeerChange, WgChange, WgDevice, change_to

ANY: Final = IPv6Address("::")
"""WireGuard listens on every address of both families."""


class Backend(Protocol):
    """What carries WireGuard devices."""

    name: str
    """For messages: which one it is."""

    def look(self, name: str) -> Look:
        """Tell whether what carries a device works, and what it knows."""

    def names(self) -> list[str]:
        """Return the devices that are known to be ours without a look at their alias."""

    def make(self, name: str) -> None:
        """Make a device."""

    def unmake(self, name: str) -> None:
        """Remove a device of ours; that there is none is fine."""

    def write(self, name: str, change: WgChange) -> None:
        """Change a device."""

    def forget_sources(self, name: str) -> None:
        """Send from whatever address the routes say, not from the one that served before."""

    def close(self) -> None:
        """Let go of everything; the devices stay."""


class WireGuardDriver:
    """Implements :class:`patronus.dataplane.tunnels.driver.TunnelDriver`."""

    kind = Kind.WIREGUARD

    def __init__(
        self, links: Links, backend: Backend, *, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._links = links
        self._backend = backend
        self._clock = clock
        self._roaming: dict[str, Roaming] = {}
        self._addresses: frozenset[Address] = frozenset()

    def ensure(self, wanted: Sequence[DeviceSpec]) -> Outcome:
        """Make the kernel hold exactly these devices of ours."""
        before, self._addresses = self._addresses, self._links.underlay_addresses()
        names = {spec.name for spec in wanted}
        gone = self.remove([name for name in self._names() if name not in names])
        outcome = Outcome([Drift(name, "device", "none", "present") for name in gone])
        found = self._links.look(self.kind)
        for spec in wanted:
            try:
                outcome.drifts += self._ensure_one(spec, found.get(spec.name))
                if before - self._addresses:
                    self._backend.forget_sources(spec.name)
            except TunnelTrouble as trouble:
                outcome.troubles.append(str(trouble))
        return outcome

    def observe(self) -> list[DeviceState]:
        """Tell what the kernel has of ours, by name; a hung or dead device included."""
        found = self._links.look(self.kind)
        names = sorted({*found, *self._backend.names()})
        return [self._observe_one(name, found.get(name)) for name in names]

    def remove(self, names: Collection[str] | None = None) -> list[str]:
        """Remove devices of ours, all of them if none are named; return those that there were."""
        have = self._names()
        gone = have if names is None else sorted(set(names) & set(have))
        for name in gone:
            self._backend.unmake(name)
            self._roaming.pop(name, None)
        return gone

    def close(self) -> None:
        """Let go of everything; the devices stay."""
        self._backend.close()

    def _names(self) -> list[str]:
        return sorted({*self._links.names(self.kind), *self._backend.names()})

    def _ensure_one(self, spec: DeviceSpec, before: Found | None) -> list[Drift]:
        made, found = self._ensure_made(spec.name)
        roaming = self._roaming.setdefault(spec.name, Roaming())
        again = roaming.call_again(spec.tunnels, found.peers, self._clock())
        change = change_to(spec, found, call_again=again)
        if change:
            self._backend.write(spec.name, change)
        device = link(spec.name)
        if device is None:
            raise TunnelTrouble(f"{spec.name}: vanished while it was configured")
        known = before is not None and before.link.index == device.index
        state = before.state if before is not None and known else None
        drifts = [*_drifts(spec.name, change), *self._links.shape(spec, device, state)]
        # That all of a new device had to be set is no drift of its own.
        return made or drifts

    def _ensure_made(self, name: str) -> tuple[list[Drift], WgDevice]:
        """Make a device, or make it anew if what carries it does not work."""
        if name not in self._backend.names():
            self._links.find_ours(name, self.kind)  # refuses somebody else's
        look = self._backend.look(name)
        if look.device is not None and link(name) is not None:
            return [], look.device
        if look.health is Health.LATE:
            raise TunnelTrouble(
                f"{name}: {self._backend.name} waits for a processor: left as it is"
            )
        self._backend.unmake(name)
        self._backend.make(name)
        made = self._backend.look(name).device
        if made is None:
            raise TunnelTrouble(f"{name}: {self._backend.name} does not work")
        return [Drift(name, "device", Health.ALIVE, look.health)], made

    def _observe_one(self, name: str, known: Found | None) -> DeviceState:
        state = known.state if known is not None else DeviceState(name=name, kind=self.kind)
        look = self._backend.look(name)
        found = look.device or WgDevice()
        return replace(
            state,
            health=look.health,
            mark=found.mark,
            local=Endpoint(ANY, found.port) if look.device else None,
            public_key=public_of(found.private_key) if found.private_key else b"",
            peers=found.peers,
        )


def _drifts(name: str, change: WgChange) -> list[Drift]:
    """Say what a change repairs; keys are not shown."""
    fields = ("private_key", "port", "mark")
    drifts = [Drift(name, f, "as configured", "other") for f in fields if _set(change, f)]
    return drifts + [
        Drift(name, "peer", _shown(peer), shown(peer.public_key))
        for peer in change.peers
        # To call a peer again is part of normal life.
        if peer != PeerChange(public_key=peer.public_key, endpoint=peer.endpoint)
    ]


def _set(change: WgChange, name: str) -> bool:
    return getattr(change, name) is not None


def _shown(peer: PeerChange) -> str:
    if peer.remove:
        return "removed"
    fields = ("preshared_key", "endpoint", "keepalive_s", "allowed")
    return ", ".join(f for f in fields if getattr(peer, f) is not None) + " set"

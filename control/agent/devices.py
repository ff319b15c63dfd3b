"""The devices of tunnels: a reserved socket or a WireGuard device for each transport.

VXLAN has a device for each tunnel (``vxlans.py``). A WireGuard device carries the tunnels to all
peers that have told their key. Its addresses inside are made of the names of site and transport,
so both ends know them; its key is made here, kept in the agent's folder, and told beside the
tunnel under the key of the pair.
"""

import hashlib
from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final

from patronus.control.agent import wanted
from patronus.control.agent.ground import Ground
from patronus.control.agent.meeting import Met
from patronus.control.agent.vxlans import Vxlans
from patronus.control.config.layout import Lane, Layout
from patronus.control.config.model import AgentConfig, Kind, Transport
from patronus.dataplane.linkdump import link
from patronus.dataplane.tunnels import headers, spec
from patronus.dataplane.tunnels.choice import choose
from patronus.dataplane.tunnels.driver import Ownership, TunnelDriver, TunnelTrouble
from patronus.dataplane.tunnels.keys import KeyStore, decoded, public_of
from patronus.dataplane.tunnels.links import Links
from patronus.dataplane.tunnels.plain import PlainDriver
from patronus.dataplane.tunnels.spec import BadSpec, DeviceSpec, Endpoint, TunnelSpec, check
from patronus.dataplane.tunnels.wireguard import WireGuardDriver

INSIDE: Final = 0xFD70_6174 << 96
"""fd70:6174::/32, of RFC 4193; the rest is a hash."""
KEEPALIVE_S: Final = 20


def inside(site: str, transport: str) -> IPv6Address:
    """Return a site's address inside the WireGuard tunnels over a transport."""
    digest = hashlib.sha256(f"{site}\0{transport}".encode()).digest()
    return IPv6Address(INSIDE | int.from_bytes(digest[:12], "big"))


def ownership(site: str) -> Ownership:
    """Return how the devices of a site's agent are told from all others."""
    return Ownership(prefix=f"pt-{hashlib.sha256(site.encode()).hexdigest()[:4]}-")


class Devices:
    """The devices of one agent."""

    def __init__(self, config: AgentConfig, layout: Layout, ground: Ground, keys: Path) -> None:
        """Name what is wanted; nothing is done yet.

        Raises:
            KeyTrouble: a key cannot be made or read.
            TunnelTrouble: there is no WireGuard.
        """
        self._config, self._layout, self._ground = config, layout, ground
        self._ownership = ownership(config.site)
        self.plain = PlainDriver()
        self.wireguard: WireGuardDriver | None = None
        self.notice = ""
        self._keys: dict[str, bytes] = {}
        self._psk: dict[str, bytes] = {}
        self.troubles: list[str] = []
        self.vxlans: Vxlans | None = None
        if any(t.kind is Kind.VXLAN for t in config.transports):
            self.vxlans = Vxlans(config, layout, ground, Links(self._ownership), inside)
        over = [t for t in config.transports if t.kind is Kind.WIREGUARD]
        if over:
            links = Links(self._ownership)
            choice = choose(links, self._ownership)
            self.wireguard, self.notice = WireGuardDriver(links, choice.backend), choice.notice
            store = KeyStore(keys)
            self._keys = {t.name: store.ensure(t.name) for t in over}
            self._psk = {p.name: _secret(Path(p.psk)) for p in config.peers if p.psk}

    def name(self, transport: Transport) -> str:
        """Return the name of a transport's device."""
        return f"{self._ownership.prefix}{wanted.number(self._config, transport)}"

    def public(self, transport: Transport) -> bytes:
        """Return the public key of a transport's device; zeroes for a plain one."""
        private = self._keys.get(transport.name)
        return public_of(private) if private else bytes(32)

    def index(self, transport: Transport) -> int:
        """Return the interface that packets of a transport's tunnels leave by, 0: none.

        A transport of VXLAN tunnels has no such one: each tunnel does.
        """
        if transport.kind is Kind.VXLAN:
            return 0
        if transport.kind is Kind.WIREGUARD:
            found = link(self.name(transport))
            return found.index if found else 0
        known = self._ground.links.get(transport.interface)
        return known.index if known else 0

    def lane(self, row: int) -> int:
        """Return the device of a tunnel alone, 0: it shares that of its transport."""
        del row
        return 0

    def ensure(self, mets: Sequence[Met | None]) -> int:
        """Make the kernel hold these devices; return how many differences there were.

        Args:
            mets: by row, what is known of the other end.
        """
        specs = [d for t in self._config.transports if (d := self._device(t, mets)) is not None]
        specs += self.vxlans.specs(mets) if self.vxlans else []
        self.troubles = []
        specs = self._sound(specs)
        bad = self.troubles
        drivers: list[TunnelDriver] = [d for d in (self.plain, self.wireguard) if d is not None]
        if self.vxlans is not None:
            drivers.append(self.vxlans.driver)
        outcomes = [d.ensure([s for s in specs if s.kind is d.kind]) for d in drivers]
        self.troubles = bad + [text for outcome in outcomes for text in outcome.troubles]
        if self.vxlans is not None:
            self.vxlans.look()
            self.troubles += self.vxlans.troubles
        return sum(len(outcome.drifts) for outcome in outcomes)

    def _sound(self, specs: Sequence[DeviceSpec]) -> list[DeviceSpec]:
        """Return the devices that can work together; the others are troubles, one by one."""
        try:
            check(specs, prefix=self._ownership.prefix)
        except BadSpec:
            good: list[DeviceSpec] = []
            for each in specs:
                try:
                    check([*good, each], prefix=self._ownership.prefix)
                    good.append(each)
                except BadSpec as bad:
                    self.troubles.append(f"{bad}; it is left out")
            return good
        return list(specs)

    def adopt(self, row: int) -> tuple[bytes, int] | None:
        """Return key and port of the peer that a WireGuard device holds for a row."""
        lane = self._layout.lanes[row]
        if self.wireguard is None or lane.transport.kind is not Kind.WIREGUARD:
            return None
        there = inside(lane.peer.name, lane.transport.name)
        for device in self.wireguard.observe():
            for peer in device.peers if device.name == self.name(lane.transport) else ():
                if peer.endpoint and any(there in p for p in peer.allowed if p.version == 6):
                    return peer.public_key, peer.endpoint.port
        return None

    def remove(self) -> list[str]:
        """Take all devices away."""
        gone = self.plain.remove()
        return gone + (self.wireguard.remove() if self.wireguard else [])

    def close(self) -> None:
        """Let go; WireGuard devices stay and carry packets."""
        self.plain.close()
        if self.wireguard:
            self.wireguard.close()

    def _device(self, transport: Transport, mets: Sequence[Met | None]) -> DeviceSpec | None:
        pmtu = self._ground.pmtu(transport)
        own = self._ground.local(transport, 4) or self._ground.local(transport, 6)
        if pmtu is None or own is None or transport.kind is Kind.VXLAN:
            return None
        kind = spec.Kind(transport.kind)
        mark = wanted.mark(self._config, transport)
        local = Endpoint(own, transport.port)
        if kind is spec.Kind.PLAIN:
            return DeviceSpec(
                name=self.name(transport), kind=kind, transport=transport.name, mark=mark,
                local=local, mtu=pmtu,
            )  # fmt: skip
        return DeviceSpec(
            name=self.name(transport), kind=kind, transport=transport.name, mark=mark,
            local=local, mtu=headers.roomy_mtu(kind, pmtu, outer=own.version),
            addresses=(inside(self._config.site, transport.name),),
            tunnels=tuple(self._tunnels(transport, mets)),
            private_key=self._keys[transport.name],
        )  # fmt: skip

    def _tunnels(self, transport: Transport, mets: Sequence[Met | None]) -> list[TunnelSpec]:
        return [
            self._tunnel(lane, met)
            for lane, met in zip(self._layout.lanes, mets, strict=True)
            if met is not None and any(met.public) and lane.transport is transport
        ]

    def _tunnel(self, lane: Lane, met: Met) -> TunnelSpec:
        configured = lane.endpoint.address
        where = Endpoint(
            ip_address(configured or met.host), lane.endpoint.port if configured else met.outer
        )
        return TunnelSpec(
            peer=lane.peer.name,
            remote=where,
            peer_addresses=(inside(lane.peer.name, lane.transport.name),),
            public_key=met.public,
            preshared_key=self._psk.get(lane.peer.name, b""),
            keepalive_s=0 if configured else KEEPALIVE_S,
        )


def _secret(path: Path) -> bytes:
    try:
        return decoded(path.read_text().strip())
    except OSError as error:
        raise TunnelTrouble(f"{path}: cannot be read: {error.strerror}") from None

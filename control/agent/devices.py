"""The devices of tunnels: a reserved socket or a WireGuard device for each transport.

VXLAN has a device for each tunnel (``vxlans.py``). A WireGuard device carries the tunnels to all
peers that have told their key. Its addresses inside are made of the names of site and transport,
so both ends know them; its key is made here, kept in the agent's folder, and told beside the
tunnel under the key of the pair. While a key is replaced there are two devices (``keyring.py``),
whose ports differ, and whose addresses inside do so in the last bit.
"""

import hashlib
from collections.abc import Iterator, Sequence
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final

from patronus.control.agent import wanted
from patronus.control.agent.ground import Ground
from patronus.control.agent.keyring import Keyring, Pair, slot
from patronus.control.agent.meeting import End, Met
from patronus.control.agent.twins import PROBE_S, pair_of
from patronus.control.agent.vxlans import Vxlans
from patronus.control.config.layout import Lane, Layout
from patronus.control.config.model import AgentConfig, Kind, Transport
from patronus.dataplane.linkdump import link
from patronus.dataplane.linux.records import Twin
from patronus.dataplane.tunnels import headers, spec
from patronus.dataplane.tunnels.choice import choose
from patronus.dataplane.tunnels.driver import (
    DeviceState,
    Ownership,
    TunnelDriver,
    TunnelTrouble,
)
from patronus.dataplane.tunnels.keys import KeyStore, decoded
from patronus.dataplane.tunnels.links import Links
from patronus.dataplane.tunnels.plain import PlainDriver
from patronus.dataplane.tunnels.spec import BadSpec, DeviceSpec, Endpoint, TunnelSpec, check
from patronus.dataplane.tunnels.wireguard import WireGuardDriver

INSIDE: Final = 0xFD70_6174 << 96
"""fd70:6174::/32, of RFC 4193; the rest is a hash."""
KEEPALIVE_S: Final = 20
METRIC: Final = 100
"""Of routes to peers' addresses inside the first device."""


def inside(site: str, transport: str) -> IPv6Address:
    """Return a site's address inside the WireGuard tunnels over a transport."""
    digest = hashlib.sha256(f"{site}\0{transport}".encode()).digest()
    return IPv6Address(INSIDE | int.from_bytes(digest[:12], "big"))


def ownership(site: str) -> Ownership:
    """Return how the devices of a site's agent are told from all others."""
    return Ownership(prefix=f"pt-{hashlib.sha256(site.encode()).hexdigest()[:4]}-")


class Devices:
    """The devices of one agent."""

    twin_keys = True
    """Whether a second key may stand beside one that is to be replaced."""

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
        self._psk: dict[str, bytes] = {}
        self.troubles: list[str] = []
        self.vxlans: Vxlans | None = None
        if any(t.kind is Kind.VXLAN for t in config.transports):
            self.vxlans = Vxlans(config, layout, ground, Links(self._ownership), inside)
        over = [t for t in config.transports if t.kind is Kind.WIREGUARD]
        self.keyring = Keyring(
            KeyStore(keys) if over else None, [t.name for t in over], two=self.twin_keys
        )
        self.kept: dict[str, Pair] = {t.name: self.keyring.pair(t.name) for t in over}
        """By transport: the generations whose devices there shall be."""
        if over:
            links = Links(self._ownership)
            choice = choose(links, self._ownership)
            self.wireguard, self.notice = WireGuardDriver(links, choice.backend), choice.notice
            self._psk = {p.name: _secret(Path(p.psk)) for p in config.peers if p.psk}

    def name(self, transport: Transport, place: int = 0) -> str:
        """Return the name of a transport's device, or of its twin."""
        number = wanted.number(self._config, transport)
        return f"{self._ownership.prefix}{number}{'t' if place else ''}"

    def inside(self, site: str, transport: Transport, place: int) -> IPv6Address:
        """Return a site's address inside the tunnels of one of its two keys."""
        return IPv6Address(int(inside(site, transport.name)) ^ place)

    def ends(self, transport: Transport, generations: Pair) -> tuple[End, End]:
        """Return where devices of a transport listen, and their public keys."""
        found = [End(), End()]
        for generation in generations:
            public = self.keyring.public(transport.name, generation)
            found[slot(generation)] = End(transport.ports[slot(generation)], public)
        return found[0], found[1]

    def index(self, transport: Transport, place: int = 0) -> int:
        """Return the interface that packets of a transport's tunnels leave by, 0: none.

        A transport of VXLAN tunnels has no such one: each tunnel does.
        """
        if transport.kind is Kind.WIREGUARD:
            found = link(self.name(transport, place))
            return found.index if found else 0
        if transport.kind is Kind.VXLAN or place:
            return 0
        known = self._ground.links.get(transport.interface)
        return known.index if known else 0

    def indices(self, transport: Transport) -> tuple[int, int]:
        """Return the interfaces of both keys."""
        return self.index(transport), self.index(transport, 1)

    def works(self, transport: Transport, place: int) -> bool:
        """Tell whether one of a transport's WireGuard devices was found to be as it shall be."""
        name = self.name(transport, place)
        sound = not any(text.startswith(f"{name}:") for text in self.troubles)
        return sound and self.index(transport, place) > 0

    def lane(self, row: int) -> int:
        """Return the device of a tunnel alone, 0: it shares that of its transport."""
        del row
        return 0

    def ensure(self, mets: Sequence[Met | None], twins: Sequence[Twin]) -> int:
        """Make the kernel hold these devices; return how many differences there were.

        Args:
            mets: by row, what is known of the other end.
            twins: by row, which keys are in use.
        """
        specs = [d for t in self._config.transports for d in self._wanted(t, mets, twins)]
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

    def observe(self) -> list[DeviceState]:
        """Return what there is of WireGuard devices."""
        return self.wireguard.observe() if self.wireguard is not None else []

    def adopt(self, row: int, states: Sequence[DeviceState]) -> tuple[End, End] | None:
        """Return keys and ports of the peer that our WireGuard devices hold for a row."""
        lane, found = self._layout.lanes[row], [End(), End()]
        names = [self.name(lane.transport, place) for place in (0, 1)]
        for place in (0, 1):
            there = self.inside(lane.peer.name, lane.transport, place)
            for device in states:
                for peer in device.peers if device.name in names else ():
                    if peer.endpoint and any(there in p for p in peer.allowed if p.version == 6):
                        found[place] = End(peer.endpoint.port, peer.public_key)
        if found[1].public == found[0].public:
            found[1] = End()
        return (found[0], found[1]) if any(end.port for end in found) else None

    def remove(self) -> list[str]:
        """Take all devices away."""
        gone = self.plain.remove()
        return gone + (self.wireguard.remove() if self.wireguard else [])

    def close(self) -> None:
        """Let go; WireGuard devices stay and carry packets."""
        self.plain.close()
        if self.wireguard:
            self.wireguard.close()

    def _wanted(
        self, transport: Transport, mets: Sequence[Met | None], twins: Sequence[Twin]
    ) -> Iterator[DeviceSpec]:
        pmtu = self._ground.pmtu(transport)
        own = self._ground.local(transport, 4) or self._ground.local(transport, 6)
        if pmtu is None or own is None or transport.kind is Kind.VXLAN:
            return
        kind, mark = spec.Kind(transport.kind), wanted.mark(self._config, transport)
        if kind is spec.Kind.PLAIN:
            yield DeviceSpec(
                name=self.name(transport), kind=kind, transport=transport.name, mark=mark,
                local=Endpoint(own, transport.port), mtu=pmtu,
            )  # fmt: skip
            return
        for generation in self.kept[transport.name]:
            place = slot(generation)
            yield DeviceSpec(
                name=self.name(transport, place), kind=kind, transport=transport.name, mark=mark,
                local=Endpoint(own, transport.ports[place]),
                mtu=headers.roomy_mtu(kind, pmtu, outer=own.version),
                addresses=(self.inside(self._config.site, transport, place),),
                tunnels=tuple(self._tunnels(transport, place, mets, twins)),
                private_key=self.keyring.private(transport.name, generation),
                # Each has routes of its own to the same peers, and no two of a metric.
                metric=METRIC + place,
            )  # fmt: skip

    def _tunnels(
        self, transport: Transport, place: int, mets: Sequence[Met | None], twins: Sequence[Twin]
    ) -> Iterator[TunnelSpec]:
        for lane, met, used in zip(self._layout.lanes, mets, twins, strict=True):
            if met is None or lane.transport is not transport:
                continue
            for there, end in enumerate(met.keys.ends):
                if end.port:
                    idle = used != pair_of(place, there)
                    yield self._tunnel(lane, met, there, idle=idle)

    def _tunnel(self, lane: Lane, met: Met, there: int, *, idle: bool) -> TunnelSpec:
        configured, end = lane.endpoint.address, met.keys.ends[there]
        # The configured port may be a NAT's, which leads to the first device.
        port = lane.endpoint.port if configured and not there else end.port
        keepalive_s = 0 if configured else KEEPALIVE_S
        return TunnelSpec(
            peer=lane.peer.name,
            remote=Endpoint(ip_address(configured or met.host), port),
            peer_addresses=(self.inside(lane.peer.name, lane.transport, there),),
            public_key=end.public,
            preshared_key=self._psk.get(lane.peer.name, b""),
            keepalive_s=PROBE_S if idle else keepalive_s,
        )


def _secret(path: Path) -> bytes:
    try:
        return decoded(path.read_text().strip())
    except OSError as error:
        raise TunnelTrouble(f"{path}: cannot be read: {error.strerror}") from None

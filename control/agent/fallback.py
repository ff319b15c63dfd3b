"""A site without BPF: kernel devices as next hops, and a process that probes and fails over.

Everything that :class:`~patronus.control.agent.site.Site` does, with other parts: memory in a file
for pinned maps, VXLAN devices for headers of ours, next-hop objects and routes for programs. What
that costs is said at start (:attr:`FallbackSite.way`).
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from patronus.control.agent import leftovers, meeting, wanted
from patronus.control.agent.devices import Devices
from patronus.control.agent.filters import Filters
from patronus.control.agent.lanes import PROBE_PORT, LaneDevices, end
from patronus.control.agent.meeting import Met
from patronus.control.agent.prober import NoProber, Prober
from patronus.control.agent.programs import pin_name
from patronus.control.agent.rows import Rows
from patronus.control.agent.site import Site
from patronus.control.agent.wanted import Unsupported
from patronus.control.config.layout import Lane
from patronus.control.config.model import AgentConfig, Kind
from patronus.dataplane.linkdump import links
from patronus.dataplane.linux import records
from patronus.dataplane.linux.endpoints import Endpoint
from patronus.dataplane.linux.loader import unload
from patronus.dataplane.linux.pins import Sizes
from patronus.dataplane.linux.views import Flow
from patronus.dataplane.nexthops import compat
from patronus.dataplane.nexthops.classes import RULES_MOST, class_rules
from patronus.dataplane.nexthops.dataplane import NexthopDataplane, through
from patronus.dataplane.nexthops.memory import Memory
from patronus.dataplane.nexthops.netlink import Channel
from patronus.dataplane.nexthops.routes import LAST, LOCAL, Network
from patronus.dataplane.nexthops.tables import HopTables
from patronus.dataplane.underlay.pinning import Pin

PROBER = "patronus.dataplane.nexthops.prober"
FORWARDING = (Path("/proc/sys/net/ipv4/ip_forward"), Path("/proc/sys/net/ipv6/conf/all/forwarding"))


class LaneRows(Rows):
    """Rows whose test packets travel as datagrams through a device of their own."""

    touched = False
    """Whether a row was written since this was last put back."""
    lanes: LaneDevices

    def _endpoint(self, row: int, lane: Lane, met: Met, under: tuple[Any, ...]) -> Endpoint | None:
        site, transport = self._config.site, lane.transport.name
        mtu, index = self.lanes.lane_mtu(lane), under[4]
        if mtu is None or not index:
            return None
        return Endpoint(
            kind=records.Kind.VXLAN,
            local=end(site, lane.peer.name, transport),
            remote=end(lane.peer.name, site, transport),
            local_port=PROBE_PORT,
            remote_port=PROBE_PORT,
            peer_row=met.peer_row,
            session_in=self._sessions[row][0],
            session_out=self._sessions[row][1],
            mtu=mtu,
            peer_site=int(self._layout.overlay.dst[row]),
            transport=int(self._layout.overlay.transport[row]),
            ifindex=index,
        )

    def _write(self, row: int, lane: Lane, now_ns: int) -> int:
        self.touched = True
        return super()._write(row, lane, now_ns)


class FallbackSite(Site):
    """Everything of a site without BPF but its sockets."""

    NO_ROTATION: ClassVar = "keys are not replaced without BPF: packets would be lost"
    MAGIC: ClassVar = meeting.MAGIC_FALLBACK

    @staticmethod
    def check(config: AgentConfig) -> None:
        """Refuse what would only be pretended.

        Raises:
            Unsupported: with everything that is asked for and not there, a line each.
        """
        if problems := list(_problems(config)):
            raise Unsupported("\n".join(problems))

    def _check_firewall(self) -> None:
        """The kernel forwards, so the firewall applies."""

    def _transports(self) -> list[Pin]:
        return [
            pin if transport.kind is Kind.WIREGUARD else pin_vxlan(pin, transport.port)
            for pin, transport in zip(
                wanted.underlay(self.config), self.config.transports, strict=True
            )
        ]

    def _devices(self) -> Devices:
        keys = Path(self.config.state) / "keys"
        self.lanes = LaneDevices(self.config, self.layout, self.ground, keys)
        return self.lanes

    def _obtain(self, cache: Path, sizes: Sizes) -> Memory:
        del cache
        self._sizes, run = sizes, Path(self.config.run)
        run.mkdir(parents=True, exist_ok=True)
        self.memory = Memory(run / leftovers.MEMORY, sizes)
        self.kept = self.memory.kept
        return self.memory

    def _rows(self) -> Rows:
        self.lane_rows = LaneRows(
            self.config, self.layout, self.pairings,
            tunnels=self._tunnels, schedule=self._schedule, seats=self.seats,
        )  # fmt: skip
        self.lane_rows.lanes = self.lanes
        return self.lane_rows

    def _parts(self) -> None:
        self._channel = Channel()
        classes, run = len(self.config.policy.classes), Path(self.config.run)
        self._lost: list[str] = []
        words = {
            "memory": run / leftovers.MEMORY, "rows": self._sizes.rows,
            "entries": self._sizes.entries, "moves": self._sizes.moves, "classes": classes,
            "port": PROBE_PORT,
        }  # fmt: skip
        self.prober = Prober(
            PROBER, [text for key, value in words.items() for text in (f"--{key}", str(value))],
            lock=run / leftovers.LOCK, log=run / leftovers.LOG,
        )  # fmt: skip

    def _plane(self) -> NexthopDataplane:
        classes = len(self.config.policy.classes)
        plane = NexthopDataplane(
            self.memory, through(self._channel), rows=len(self._tunnels), classes=classes,
            homes=self._homes(),
        )  # fmt: skip
        self.hops = self._hop_tables(plane)
        return plane

    def _hop_tables(self, plane: NexthopDataplane) -> HopTables:
        """Return routes for each class, where the kernel's rules can tell classes apart."""
        classes = self.config.policy.classes
        rules = class_rules(classes, self._lan())
        self.apart = rules is not None
        routes = {LAST: self._routes(len(classes) - 1)}
        if rules:
            routes |= {number: self._routes(number) for number in range(len(classes) - 1)}
        return HopTables(self._channel, plane, routes, self._interfaces(), rules or ())

    def _routes(self, number: int) -> dict[Network, int]:
        classes = len(self.config.policy.classes)
        return {
            prefix: LOCAL if target.local else target.destination * classes + number
            for prefix, target in self.prefixes.items()
        }

    def _lan(self) -> list[str]:
        return [
            i.name if i.vlan is None else f"{i.name}.{i.vlan}" for i in self.config.lan.interfaces
        ]

    def _interfaces(self) -> list[str]:
        """Return the interfaces whose packets go by all routes."""
        return self._lan() + [self.lanes.lane_name(lane) for lane in self.layout.lanes]

    def _install(self) -> None:
        self._remove_programs()
        try:
            compat.quieten(Path(self.config.run) / leftovers.COMPAT)
        except OSError as error:
            self._lost.append(f"switches take longer the more prefixes there are: {error}")
        self.hops.ensure()
        try:
            self.prober.start()
        except NoProber as error:
            self._lost.append(str(error))

    def _remove_programs(self) -> None:
        """Take away the filters of a site that ran with BPF: they would steer by an old table."""
        Filters({}).remove([link.index for link in links()])
        unload(pin_name(self.config.site))

    def take_policy(self, config: AgentConfig) -> None:
        """Go on under another policy; other rules lead to the routes of the same classes."""
        self.config = config
        assert self.kernel is not None
        assert isinstance(self.kernel.plane, NexthopDataplane)
        self.hops = self._hop_tables(self.kernel.plane)
        self.hops.ensure()
        self._write_settings()

    def follow(self, now_ns: int) -> None:
        """Do what news of other ends ask for."""
        self.devices.ensure(self.rows.mets, self.rows.twins)
        self._ensure_rows(now_ns)
        self.hops.ensure()

    def _ensure_rows(self, now_ns: int) -> int:
        changed = self.rows.ensure(self.ground, self.devices, now_ns)
        if self.lane_rows.touched:
            self.lane_rows.touched = False
            self._settings["epoch"] += 1  # the prober reads addresses again
        return changed

    def _repairs(self, now_ns: int) -> Iterator[tuple[str, Callable[[], int]]]:
        yield "underlay", self._ensure_ground
        yield "tunnels", lambda: self.devices.ensure(self.rows.mets, self.rows.twins)
        yield "rows", lambda: self._ensure_rows(now_ns)
        yield "entries", lambda: self._ensure_entries(now_ns)
        yield "hops", self.hops.ensure
        yield "prober", self.prober.ensure

    def reconcile(self, now_ns: int) -> Counter[str]:
        """Compare everything with what is wanted, repair what differs, and count it."""
        found = super().reconcile(now_ns)
        if not self.prober.trouble:
            self._lost = [text for text in self._lost if "prober" not in text]
        return found

    @property
    def way(self) -> list[str]:
        """Which way the site runs, and what that costs."""
        told = [
            "there is no BPF: packets follow routes over next-hop objects",
            "the prober, a process, moves them some milliseconds after a tunnel has gone silent",
            "probes are sent and answered by the prober: they go on while no agent runs",
            self._classes_told(),
            "flows are neither pinned nor counted; transit over two sites ends by its TTL alone",
            "peers must run without BPF as well: tunnels of the other way do not fit",
        ]
        complaint = self.prober.complaint
        return told + ([complaint] if complaint else [])

    def _classes_told(self) -> str:
        last = self.config.policy.classes[-1].name
        if not self.apart:
            return f"classes need more than {RULES_MOST} rules: everything goes as {last}"
        return f"rules tell classes of what comes from the LAN; in transit all goes as {last}"

    def flows(self, most: int) -> list[Flow]:
        """Return nothing: routes know no flows."""
        del most
        return []

    def probers_rebuilt(self) -> int:
        """Return how often the prober had to be started anew."""
        return self.prober.rebuilt

    @property
    def troubles(self) -> list[str]:
        """What is not as wanted, in sentences."""
        off = [
            str(path) for path in FORWARDING if path.exists() and path.read_text().strip() == "0"
        ]
        needed = off if self.config.ipv6 else [name for name in off if "ipv4" in name]
        forwarding = [f"the kernel does not forward: {name} is 0" for name in needed]
        own = [*self.ground.troubles, *self.devices.troubles, *self.hops.troubles, *self._lost]
        return own + forwarding + ([self.prober.trouble] if self.prober.trouble else [])

    def close(self) -> None:
        """Let go of everything; the kernel and the prober go on."""
        self.devices.close()
        self.prober.close()
        self._channel.close()


def pin_vxlan(pin: Pin, port: int) -> Pin:
    """Return a pin that ties VXLAN devices as well, whose packets have no mark."""
    return Pin(
        transport=pin.transport, interface=pin.interface, mark=pin.mark, table=pin.table,
        gateways=pin.gateways, vxlan_port=port,
    )  # fmt: skip


def _problems(config: AgentConfig) -> Iterator[str]:
    if len(config.transports) > wanted.TRANSPORTS_MAX:
        yield f"{len(config.transports)} transports; {wanted.TRANSPORTS_MAX} is the most"
    for transport in config.transports:
        learned = [
            peer.name
            for peer in config.peers
            if transport.name in peer.endpoints and not peer.endpoints[transport.name].address
        ]
        if learned and transport.kind is not Kind.WIREGUARD:
            yield (
                f"transport {transport.name}: without BPF only WireGuard can learn where a peer "
                f"is; give the address of {', '.join(learned)}"
            )
    wireguard = [t for t in config.transports if t.kind is Kind.WIREGUARD]
    if len({t.port for t in wireguard}) < len(wireguard):
        names = " and ".join(t.name for t in wireguard)
        yield f"WireGuard listens on every address, so {names} need different ports"

"""One site on one machine: what is wanted, brought about step by step, again and again.

Each step looks, changes what differs and says how much that was. So a first start, a restart
while packets flow, and the repair of what somebody deleted are one and the same. The order
matters where packets flow: rows before entries, entries before the prefixes that lead to them,
and the filters last.
"""

import ipaddress
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from patronus.control.agent import bearer, bfd, drains, firewall, meeting, wanted
from patronus.control.agent.bearer import SiteBearer
from patronus.control.agent.devices import Devices, ownership
from patronus.control.agent.drains import Drains
from patronus.control.agent.driver import Driver, Listeners
from patronus.control.agent.filters import Filters
from patronus.control.agent.filters import wanted as wanted_filters
from patronus.control.agent.ground import Ground
from patronus.control.agent.kernel import LinuxKernel, seat
from patronus.control.agent.keyring import slot
from patronus.control.agent.leftovers import remove_fallback
from patronus.control.agent.meeting import Keys, Lane, Meeting, Met, Where
from patronus.control.agent.overlaydev import OverlayDevice
from patronus.control.agent.pairing import Pairing, pairing
from patronus.control.agent.pathmtu import PathMtus
from patronus.control.agent.places import places
from patronus.control.agent.programs import obtain
from patronus.control.agent.proofs import Proofs
from patronus.control.agent.rotations import Rotations
from patronus.control.agent.rows import Rows
from patronus.control.agent.tables import Tables, repin
from patronus.control.agent.twins import pair_of
from patronus.control.agent.wanted import MEETING_PORT, Unsupported
from patronus.control.config.layout import OWN, layout
from patronus.control.config.model import AgentConfig, Kind, Mode, Transport
from patronus.control.members.identity import Identity, public_key
from patronus.dataplane.linux.dataplane import LinuxDataplane
from patronus.dataplane.linux.pacer import Pacer
from patronus.dataplane.linux.pins import Arrays, Sizes
from patronus.dataplane.linux.records import Twin
from patronus.dataplane.linux.rules import compile_rules
from patronus.dataplane.linux.transfer import Elder, elder, refresh
from patronus.dataplane.linux.views import Flow, top_flows
from patronus.dataplane.tunnels.driver import DeviceState
from patronus.dataplane.underlay.pinning import Pin
from patronus.engine.engine import Engine
from patronus.engine.overlay import I64
from patronus.engine.units import SECOND


class Site:
    """Everything of a site but its sockets."""

    NO_ROTATION: ClassVar = ""
    """Why its keys cannot be replaced, "" where they can."""
    MAGIC: ClassVar = meeting.MAGIC
    """Of the datagrams in which ends meet: tunnels of another kind of site are no use."""

    def __init__(self, config: AgentConfig, identity: Identity, cache: Path) -> None:
        """Look at the configuration and at what is pinned; nothing is changed but the pins.

        Raises:
            Unsupported: the configuration asks for what is not there yet.
            NoPrograms: the kernel's part cannot be had.
            BadPins, KeyTrouble, TunnelTrouble: transports, keys or WireGuard.
        """
        self.check(config)
        self.config, self.identity = config, identity
        self.layout = layout(config)
        self._check_firewall()
        self.pairings = _pairings(config, identity)
        self.bfd_keys = bfd.keys(config)
        prefixes = [ipaddress.ip_network(p) for p, d in self.layout.prefixes if d != OWN]
        self.overlay = OverlayDevice(ownership(config.site), prefixes)
        self.ground = Ground(config, self._transports())
        self.devices = self._devices()
        classes = len(config.policy.classes)
        self.rules = compile_rules(config.policy.classes)
        sizes = wanted.sizes(self.layout, classes)
        self.elder: Elder | None = None
        """What older pins have left, until new programs have taken over."""
        self.arrays = self._obtain(cache, sizes)
        self._settings = self.arrays.array("settings")
        self._tunnels = self.arrays.array("tunnels")
        self._schedule = self.arrays.array("schedule")
        lanes = self.layout.lanes
        sessions = [self.pairings[w.peer.name].session_in(w.transport.name) for w in lanes]
        seats = seat(self._tunnels, sessions)
        self.seats = seats
        self.rows = self._rows()
        self.path_mtus = PathMtus(self.layout, self.rows.path_mtus)
        names = [d.name for d in self.layout.overlay.destinations]
        self.places = places(
            Path(config.state), names, [c.name for c in config.policy.classes],
            sizes.entries // classes,
        )  # fmt: skip
        self.prefixes = wanted.prefixes(self.layout, self.places)
        self._parts()
        self.bearer = SiteBearer(self)
        self._hold_keys()
        self.rotations = self._rotations()
        self.meeting = self._meeting()
        self.drifts: Counter[str] = Counter()
        self.step_ns: dict[str, int] = {}
        """The longest that each step of a reconciliation has taken."""
        self.kernel: LinuxKernel | None = None
        self.driver: Driver | None = None

    # What a site without BPF has otherwise (fallback.py)

    @staticmethod
    def check(config: AgentConfig) -> None:
        """Refuse what would only be pretended.

        Raises:
            Unsupported: with everything that is asked for and not there, a line each.
        """
        wanted.check(config)

    def _transports(self) -> list[Pin]:
        """Return how transports are tied to their interfaces."""
        config = self.config
        return [*wanted.underlay(config), *wanted.overlay_pin(config, self.overlay.name)]

    def _devices(self) -> Devices:
        """Return the devices of tunnels."""
        return Devices(self.config, self.layout, self.ground, Path(self.config.state) / "keys")

    def _obtain(self, cache: Path, sizes: Sizes) -> Arrays:
        """Return the memory that is shared with the kernel."""
        config = self.config
        self.pins, self.kept = obtain(config.site, Path(config.state), cache, sizes)
        self.elder = elder(self.pins)
        return self.pins

    def _rows(self) -> Rows:
        """Return what is wanted of the rows."""
        return Rows(
            self.config, self.layout, self.pairings,
            tunnels=self._tunnels, schedule=self._schedule, seats=self.seats,
        )  # fmt: skip

    def _parts(self) -> None:
        """Name the parts that hold the kernel to the tables."""
        self.filters = Filters(self.pins.programs)
        self.tables = Tables(self.pins, self.prefixes, self.rules)
        intervals = (t.liveness.interval_ns for t in self.config.transports)
        self.pacer = Pacer(
            self.pins.array("pacing"), len(self._schedule), programs=self.pins.programs,
            interval_ns=min(intervals, default=SECOND),
        )  # fmt: skip

    def _plane(self) -> LinuxDataplane:
        """Return what steers."""
        classes = len(self.config.policy.classes)
        return LinuxDataplane(
            self.pins, rows=len(self._tunnels), classes=classes, homes=self._homes()
        )

    def _install(self) -> None:
        """Let packets come, and probes go."""
        remove_fallback(self.config)
        self.tables.ensure()
        self._ensure_overlay()
        if self.elder:
            refresh(self.elder, self.pins)
        self._ensure_filters(renew=True)
        # At once: until then old programs send probes that know of no packet any more.
        self.pacer.start(time.monotonic_ns())
        if self.elder:
            self.elder.discard()
            self.elder = None
        self.overlay.lead(self.ground.sources())

    @property
    def way(self) -> list[str]:
        """Which way the site runs, and what that costs."""
        kept = "found in the kernel" if self.kept else "loaded"
        return [
            f"packets are steered by eBPF programs ({kept}); the kernel fails over by itself",
            "probes are sent by the kernel: they go on while no agent runs",
        ]

    def flows(self, most: int) -> list[Flow]:
        """Return the flows with the most bytes."""
        return top_flows(self.pins, most)

    def probers_rebuilt(self) -> int:
        """Return how often what sends probes was made anew."""
        return self.pacer.rebuilt

    def _check_firewall(self) -> None:
        dataplane = self.config.dataplane
        careful = dataplane.mode is Mode.REDIRECT and not dataplane.firewall_bypass
        if careful and (chains := firewall.bypassed()):
            raise Unsupported(
                f"redirected packets would pass by the firewall's {', '.join(chains)}: write "
                "`dataplane: {accept_firewall_bypass: on}` if that is meant"
            )

    def _hold_keys(self) -> None:
        """Let tunnels that the kernel does not know yet begin with the eldest key."""
        for row, lane in enumerate(self.layout.lanes):
            if self.rows.mets[row] is None and lane.transport.kind is Kind.WIREGUARD:
                eldest = self.devices.keyring.pair(lane.transport.name)[0]
                self.rows.twins[row] = pair_of(slot(eldest), 0)

    def _rotations(self) -> Rotations:
        """Return what replaces keys."""
        return Rotations(
            self.bearer, bearer.lanes(self.layout), every_ns=self.config.rotate_every_ns,
            refusal=self.NO_ROTATION,
        )  # fmt: skip

    def _keys(self, row: int, transport: Transport) -> Keys:
        if transport.kind is not Kind.WIREGUARD:
            return Keys()
        return self.bearer.keys(row, self.rotations.word(row))

    def _meeting(self) -> Meeting:
        lanes = []
        for row, lane in enumerate(self.layout.lanes):
            address = lane.endpoint.address
            lanes.append(
                Lane(
                    row=int(self.seats[row]),
                    peer=lane.peer.name,
                    transport=lane.transport.name,
                    key=self.pairings[lane.peer.name].key("meeting"),
                    where=Where(address, MEETING_PORT) if address else None,
                    fixed=address is not None,
                    keys=self._keys(row, lane.transport),
                )
            )
        session = secrets.randbits(64) or 1
        return Meeting(
            self.config.site,
            lanes,
            session=session,
            port=wanted.port(self.config),
            magic=self.MAGIC,
        )

    # ------------------------------------------------------------ bring-up

    def start(self, engine: Engine, listeners: Listeners) -> Driver:
        """Bring everything about, take over what there is, and return who drives it."""
        self.overlay.ensure(self.rows.mtu)
        self.ground.ensure()
        self._adopt()
        self.devices.ensure(self.rows.mets, self.rows.twins)
        now_ns = time.monotonic_ns()
        self._write_settings()
        self.rows.clear_others()
        self.rows.ensure(self.ground, self.devices, now_ns)
        taking_over = self.elder is not None
        if taking_over:
            # The table is there already, and stamps stand still until packets come to new maps.
            self._install()
            now_ns = time.monotonic_ns()
        self.kernel = LinuxKernel(
            self.arrays, self._plane(),
            seats=self.seats, places=self.places, classes=len(self.config.policy.classes),
        )  # fmt: skip
        every = np.arange(len(self.seats), dtype=np.int64)
        self.kernel.set_detect(every, engine.tunnels.detect_ns.copy(), now_ns)
        self.driver = Driver(
            engine, self.kernel, listeners, now_ns=now_ns, drains=self._drains(now_ns),
            drain_ns=self.config.dataplane.drain_ns,
        )  # fmt: skip
        self.driver.tick(now_ns)
        if not taking_over:
            self._install()
        return self.driver

    def _drains(self, now_ns: int) -> Drains:
        """Return the drains that were asked for before."""
        drain_ns = self.config.dataplane.drain_ns
        return Drains(
            drains.stored(
                Path(self.config.state), self.layout.labels, now_ns=now_ns, drain_ns=drain_ns
            )
        )

    def _homes(self) -> I64 | None:
        """Return which sites announce what, by place; None where we carry nobody's transit."""
        if not self.config.role.carries:
            return None
        home = self.layout.overlay.home
        homes = np.full((int(self.places.max()) + 1, home.shape[1]), -1, dtype=np.int64)
        homes[self.places] = home
        return homes

    def _adopt(self) -> None:
        """Take over what kernel and devices know of the other ends."""
        states = self.devices.observe()
        for row, standing in enumerate(self.rows.mets):
            met = self._whole(row, standing, states) if standing is not None else None
            self.rows.mets[row] = met
            if met is not None:
                self.meeting.adopt(met._replace(row=int(self.seats[row])))

    def _whole(self, row: int, met: Met, states: Sequence[DeviceState]) -> Met | None:
        """Add what the device knows of a peer; None where it knows nothing, and all begins anew."""
        lane = self.layout.lanes[row]
        if lane.transport.kind is Kind.VXLAN and self.devices.vxlans:
            host = self.devices.vxlans.remote(lane)
            return met._replace(host=host) if host else None
        if lane.transport.kind is not Kind.WIREGUARD:
            return met
        known = self.devices.adopt(row, states)
        use = int(bool(self.rows.twins[row] & Twin.PEER))
        return met._replace(keys=Keys(known, use)) if known else None

    def _write_settings(self) -> None:
        settings = self._settings
        settings["port"] = wanted.port(self.config)
        settings["flags"] = int(wanted.settings_flags(self.config))
        settings["hold_ns"] = self.config.policy.kernel_hold_ns
        settings["pinned_classes"] = wanted.pinned(self.config)
        for address in self.ground.lan_addresses:
            name, width = ("router_v4", 4) if address.version == 4 else ("router_v6", 16)
            if address.is_link_local:
                continue
            settings[name][0] = np.frombuffer(address.packed, dtype=np.uint8)[:width]
        settings["mark"] = wanted.OVERLAY_MARK
        settings["overlay_ifindex"] = self.overlay.index
        lan = [i.name for i in self.config.lan.interfaces if i.name in self.ground.links]
        settings["lan_ifindex"] = self.ground.links[lan[0]].index if lan else 0

    def take_policy(self, config: AgentConfig) -> None:
        """Let the kernel tell classes, and pin their flows, as another policy says."""
        self.config = config
        self.rules = self.tables.rules = compile_rules(config.policy.classes)
        self.tables.ensure()
        self._write_settings()

    def proofs(self) -> Proofs:
        """Return the authenticated sessions; inside a running event loop."""
        return Proofs(self.config, self.layout, self.pairings, self.ground)

    # ------------------------------------------------------------ again and again

    def meet(self, met: Met) -> int:
        """Take news of the other end of a tunnel; return its row."""
        row = int(np.flatnonzero(self.seats == met.row)[0])
        self.rows.mets[row] = met._replace(row=row)
        self.rotations.met(row)
        return row

    def follow(self, now_ns: int) -> None:
        """Do what news of other ends ask for."""
        self.devices.ensure(self.rows.mets, self.rows.twins)
        self.rows.ensure(self.ground, self.devices, now_ns)
        self._ensure_filters(renew=False)

    def fit(self, now_ns: int) -> I64:
        """Let rows take what their paths were found to take; return those that changed."""
        rows = self.path_mtus.changed()
        if len(rows):
            self.rows.ensure(self.ground, self.devices, now_ns)
        return rows

    def reconcile(self, now_ns: int) -> Counter[str]:
        """Compare everything with what is wanted, repair what differs, and count it."""
        found: Counter[str] = Counter()
        for step, repair in self._repairs(now_ns):
            began_ns = time.monotonic_ns()
            try:
                found[step] += repair()
            except OSError as error:
                self.ground.troubles.append(f"{step}: {error}")
            took_ns = time.monotonic_ns() - began_ns
            self.step_ns[step] = max(self.step_ns.get(step, 0), took_ns)
        found += Counter()
        self.drifts.update(found)
        return found

    def _repairs(self, now_ns: int) -> Iterator[tuple[str, Callable[[], int]]]:
        yield "pins", lambda: repin(self.pins)
        yield "underlay", self._ensure_ground
        yield "tunnels", lambda: self.devices.ensure(self.rows.mets, self.rows.twins)
        # By the time of now: against an older one, probes of a slow machine seem due too late.
        yield "rows", lambda: self.rows.ensure(self.ground, self.devices, time.monotonic_ns())
        yield "entries", lambda: self._ensure_entries(now_ns)
        yield "tables", self.tables.ensure
        yield "overlay", self._ensure_overlay
        yield "filters", lambda: self._ensure_filters(renew=False)
        yield "routes", lambda: self.overlay.lead(self.ground.sources())
        yield "pacer", self._ensure_pacer

    def _ensure_ground(self) -> int:
        drifted = self.ground.ensure()
        self._write_settings()
        return drifted

    def _ensure_overlay(self) -> int:
        drifted = self.overlay.ensure(self.rows.mtu)
        self._settings["overlay_ifindex"] = self.overlay.index
        return drifted

    def _ensure_entries(self, now_ns: int) -> int:
        assert self.driver is not None
        return self.driver.repair(now_ns)

    def _ensure_filters(self, *, renew: bool) -> int:
        filters = wanted_filters(self.config, self.ground, self.devices, overlay=self.overlay.index)
        return self.filters.ensure(filters, renew=renew)

    def _ensure_pacer(self) -> int:
        return int(not self.pacer.check(time.monotonic_ns()))

    @property
    def troubles(self) -> list[str]:
        """What is not as wanted, in sentences."""
        parts = (self.ground, self.devices, self.filters, self.overlay)
        return [text for part in parts for text in part.troubles]

    def close(self) -> None:
        """Let go of everything; the kernel goes on."""
        self.devices.close()
        if self.elder:
            self.elder.close()
        self.pins.close()


def _pairings(config: AgentConfig, identity: Identity) -> dict[str, Pairing]:
    """Return what we share with each peer.

    Raises:
        Unsupported: a peer has a key that shares nothing secret.
    """
    found = {}
    for peer in config.peers:
        try:
            found[peer.name] = pairing(config.site, identity, peer.name, public_key(peer.key))
        except ValueError as error:
            raise Unsupported(f"peer {peer.name}: {error}") from None
    return found

"""Sites whose keys are replaced in memory: disks, kernels and agents that can be killed.

What a kill leaves is what really stays: keys on the disk, devices with their peers, and by which
pair of devices each tunnel sends. After each elementary step everybody's packets are looked
at: whoever has a link to somebody must get through, whatever has been killed.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from patronus.control.agent.bearing import Lane, Word
from patronus.control.agent.keyring import Pair, slot
from patronus.control.agent.meeting import End, Keys
from patronus.control.agent.rotations import Rotations
from patronus.control.agent.twins import pair_of
from patronus.dataplane.linux.records import Twin
from patronus.engine.units import MS, SECOND

TRANSPORT = "lte"
TICK_NS = 100 * MS
HANDSHAKE_NS = 300 * MS
"""For so long two devices know each other before packets pass."""


class Killed(Exception):
    """The agent was killed at this step."""


@dataclass
class Disk:
    """Keys by generation, with the time at which they were made."""

    keys: dict[int, int] = field(default_factory=lambda: {0: 0})


@dataclass
class Kernel:
    """What goes on without an agent."""

    devices: dict[int, dict[str, set[int]]] = field(default_factory=dict)
    """By generation: the peers' generations that are known there, by peer."""
    twins: dict[int, Twin] = field(default_factory=dict)
    """By tunnel."""


class Site:
    """Implements :class:`patronus.control.agent.bearing.Bearer`."""

    def __init__(self, world: "World", name: str, peers: tuple[str, ...]) -> None:
        self.world, self.name, self.peers = world, name, peers
        self.disk, self.kernel = Disk(), Kernel()
        self.heard: dict[int, Keys] = {}
        self.said: dict[int, Keys] = {}
        self.acknowledged: dict[int, Keys] = {}
        self.rotations: Rotations | None = None
        self.every_ns: int | None = None

    # The agent's life

    def begin(self) -> None:
        """Start an agent; what the kernel has it takes over."""
        self.heard, self.said, self.acknowledged = {}, {}, {}
        eldest = self.pair(TRANSPORT)[0]
        for row, peer in enumerate(self.peers):
            self.kernel.twins.setdefault(row, pair_of(slot(eldest), 0))
            known = {g for device in self.kernel.devices.values() for g in device.get(peer, ())}
            if known:
                use = int(bool(self.kernel.twins[row] & Twin.PEER))
                self.heard[row] = Keys(ends(known), use)
        lanes = [Lane(row, TRANSPORT, peer) for row, peer in enumerate(self.peers)]
        made = Rotations(self, lanes, every_ns=self.every_ns)
        self.bear({TRANSPORT: self.pair(TRANSPORT)})
        self.rotations = made
        for row in range(len(self.peers)):
            self.say(row, made.word(row))

    def wake(self) -> None:
        if self.rotations is not None:
            self.rotations.wake(self.world.now_ns)

    def hear(self, peer: str, keys: Keys) -> None:
        row = self.peers.index(peer)
        if self.rotations is None or self.heard.get(row) == keys:
            return
        self.heard[row] = keys
        self.rotations.met(row)
        self._follow()

    # What is asked

    def pair(self, transport: str) -> Pair:
        return tuple(sorted(self.disk.keys))[:2]

    def age_ns(self, transport: str, generation: int) -> int:
        return self.world.now_ns - self.disk.keys[generation]

    def works(self, transport: str, generation: int) -> bool:
        return generation in self.kernel.devices and not self.world.broken(self.name)

    def up(self, row: int) -> bool:
        return self.world.passes(self, row) and self.world.passes(*self.world.back(self, row))

    def look(self) -> None:
        """Sessions are what devices and links make of them."""

    def proven(self, row: int, pair: Twin) -> bool:
        return self.world.passes(self, row, pair)

    def told(self, row: int) -> Keys | None:
        return self.heard.get(row)

    def twins(self, row: int) -> Twin:
        return self.kernel.twins[row]

    # What is done

    def add_key(self, transport: str, generation: int) -> None:
        self._step(lambda: self.disk.keys.setdefault(generation, self.world.now_ns))

    def forget_key(self, transport: str, generation: int) -> None:
        self._step(lambda: self.disk.keys.pop(generation, None))

    def bear(self, kept: dict[str, Pair]) -> None:
        self._kept = kept[TRANSPORT]
        for generation in sorted(self.kernel.devices.keys() - set(self._kept)):
            self._step(partial(self.kernel.devices.pop, generation))
        self._follow()

    def _follow(self) -> None:
        for generation in self._kept:
            if generation not in self.kernel.devices:
                self._step(partial(self.kernel.devices.update, {generation: {}}))
            for row, keys in self.heard.items():
                wanted = {end.port - 1 for end in keys.ends if end.port}
                known = self.kernel.devices[generation]
                if known.get(self.peers[row]) != wanted:
                    self._step(partial(known.update, {self.peers[row]: wanted}))

    def send_by(self, row: int, pair: Twin) -> None:
        self._step(lambda: self.kernel.twins.update({row: pair}))

    def say(self, row: int, word: Word) -> None:
        self.said[row] = Keys(ends(set(word.known)), word.use, word.sends)

    def is_heard(self, row: int) -> bool:
        return self.acknowledged.get(row) == self.said[row]

    def _step(self, do: Callable[[], object]) -> None:
        self.world.step(self.name)
        do()
        self.world.check()


def ends(generations: set[int]) -> tuple[End, End]:
    """Return devices as they are told of; a port tells the generation."""
    found = {slot(g): End(g + 1, bytes([g + 1]) * 32) for g in generations}
    return found.get(0, End()), found.get(1, End())


class World:
    """All sites; those with tunnels to each other name each other."""

    def __init__(self, **peers: tuple[str, ...]) -> None:
        self.now_ns = SECOND
        self.steps = 0
        self.kills: dict[str, set[int]] = {}
        self.counts: dict[str, int] = {}
        self.cut: set[frozenset[str]] = set()
        self.failing: set[str] = set()
        self.stopped: set[str] = set()
        self.hears_ns: dict[str, int] = {}
        """By site: how long what it is told is under way, and then lost but for the newest."""
        self.watching = False
        self.acquainted: dict[frozenset[tuple[str, int]], int] = {}
        self.sites = {name: Site(self, name, others) for name, others in peers.items()}
        for site in self.sites.values():
            site.begin()
        self.run(2 * SECOND)
        self.watching = True
        self.check()

    def __getitem__(self, name: str) -> Site:
        return self.sites[name]

    def step(self, name: str) -> None:
        """Count a step of an agent, which may be its last."""
        self.counts[name] = count = self.counts.get(name, 0) + 1
        if self.watching and count in self.kills.get(name, ()):
            raise Killed(name)

    def broken(self, name: str) -> bool:
        return name in self.failing

    def back(self, site: Site, row: int) -> tuple[Site, int]:
        """Return the other end of a tunnel."""
        other = self.sites[site.peers[row]]
        return other, other.peers.index(site.name)

    def passes(self, site: Site, row: int, pair: Twin | None = None) -> bool:
        """Tell whether a packet of a tunnel arrives."""
        other, _ = self.back(site, row)
        if frozenset((site.name, other.name)) in self.cut:
            return False
        sends = site.kernel.twins.get(row) if pair is None else pair
        assert sends is not None
        own = [g for g in site.kernel.devices if slot(g) == bool(sends & Twin.OWN)]
        known = site.kernel.devices[own[0]].get(other.name, set()) if own else set()
        theirs = [g for g in known if slot(g) == bool(sends & Twin.PEER)]
        return bool(theirs) and self._session(site, own[0], other, theirs[0])

    def _session(self, site: Site, own: int, other: Site, theirs: int) -> bool:
        """Tell whether two devices have a session."""
        key = frozenset({(site.name, own), (other.name, theirs)})
        since_ns = self.acquainted.get(key, self.now_ns)
        return self._know(site, own, other, theirs) and self.now_ns - since_ns >= HANDSHAKE_NS

    def _know(self, site: Site, own: int, other: Site, theirs: int) -> bool:
        here, there = site.kernel.devices.get(own, {}), other.kernel.devices.get(theirs, {})
        return theirs in here.get(other.name, ()) and own in there.get(site.name, ())

    def _acquaint(self) -> None:
        """Note which devices know each other, and since when."""
        before, self.acquainted = self.acquainted, {}
        for site in self.sites.values():
            for other in (self.sites[name] for name in site.peers):
                for own, theirs in itertools.product(site.kernel.devices, other.kernel.devices):
                    if self._know(site, own, other, theirs):
                        key = frozenset({(site.name, own), (other.name, theirs)})
                        self.acquainted[key] = before.get(key, self.now_ns)

    def check(self) -> None:
        """Every packet arrives where there is a link."""
        for site in self.sites.values() if self.watching else ():
            for row, peer in enumerate(site.peers):
                linked = frozenset((site.name, peer)) not in self.cut
                assert not linked or self.passes(site, row), f"{site.name} to {peer} is lost"

    def run(self, time_ns: int) -> None:
        """Let time pass; agents that are killed begin again a second later."""
        end_ns, dead = self.now_ns + time_ns, dict[str, int]()
        while self.now_ns < end_ns:
            self.now_ns += TICK_NS
            self._acquaint()
            for name, site in self.sites.items():
                try:
                    if name in self.stopped or dead.get(name, 0) > self.now_ns:
                        continue
                    if site.rotations is None:
                        site.begin()
                    self._carry(site)
                    site.wake()
                except Killed:
                    site.rotations = None
                    dead[name] = self.now_ns + SECOND

    def _carry(self, site: Site) -> None:
        """Let a site hear what its peers say, as often as it takes."""
        if self.now_ns % self.hears_ns.get(site.name, TICK_NS):
            return
        for row, peer in enumerate(site.peers):
            other, theirs = self.back(site, row)
            speaks = other.rotations is not None and peer not in self.stopped
            if speaks and frozenset((site.name, peer)) not in self.cut:
                other.acknowledged[theirs] = other.said[theirs]
                site.hear(peer, other.said[theirs])

    def phases(self) -> set[str]:
        """Return what the sites' rotations are at."""
        return {
            key["phase"]
            for site in self.sites.values()
            if site.rotations is not None
            for key in site.rotations.answer(self.now_ns)
        }

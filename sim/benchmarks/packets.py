"""A peer of the benchmarks: the probes of a few tunnels in ``ns.py``, packet by packet.

A tunnel is what ``ns.py`` has for it: a generator of packets, a wire there, a reflector, a
wire back, and a counter. Wires have the delay, the jitter and the random loss of the
tunnel's links as they are without faults; their draws are its own. It has no bursts, no
faults, no stamps, no liveness timers and no estimators, so it does less than plain SimPy
does in :mod:`peer`, and much less than the product.

``ns.py`` is an optional extra (``pip install patronus[bench]``).
"""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import simpy

from patronus.engine.units import PPM, SECOND
from patronus.sim.benchmarks.machine import installed
from patronus.sim.benchmarks.peer import Pace, Subset
from patronus.sim.benchmarks.plain import PlainWire
from patronus.sim.benchmarks.spread import Clock

PACKAGE = "ns.py"

_PROBE_BYTES = 64


def ns_pace(
    some: Subset, simulated_s: int, *, runs: int = 1, package: str = PACKAGE
) -> Pace | None:
    """Let ``ns.py`` run some seconds of a subset; None where it is not installed.

    Building is not timed. ``package`` is what must be installed.
    """
    if not installed(package):
        return None
    clock = Clock()
    for _ in range(runs):
        part = _Part(some)
        clock.time(partial(part.env.run, until=simulated_s))
    lost = part.sent - part.returned
    return Pace(len(some.rows), float(simulated_s), clock.spread, part.sent, lost)


class _Reflector:
    """Sends a packet back where it came from."""

    def __init__(self, wire: Any) -> None:
        self.put = wire.put


class _Counter:
    """Counts what comes home."""

    def __init__(self) -> None:
        self.returned = 0

    def put(self, packet: Any) -> None:
        """Take a packet."""
        self.returned += 1


class _Part:
    """The tunnels of a subset as elements of ``ns.py``."""

    def __init__(self, some: Subset) -> None:
        from ns.packet.dist_generator import DistPacketGenerator
        from ns.port.wire import Wire

        self.env = simpy.Environment()
        self._home = _Counter()
        self._generators = []
        random.seed(some.seed)  # its wires draw from the generator that all share
        overlay = some.network.overlay
        wire = PlainWire(some.network, some.timeline, some.seed, 0)
        for row in some.rows:
            lane = overlay.transports[int(overlay.transport[row])]
            interval_ns = some.scenario.policy.profile(lane).interval_ns
            interval_s = interval_ns / SECOND
            out, back = (
                _wire(Wire, self.env, wire, way) for way in (row, int(overlay.reverse[row]))
            )
            generator = DistPacketGenerator(
                self.env, row, _always(interval_s), _always(_PROBE_BYTES),
                initial_delay=random.random() * interval_s, flow_id=row,
            )  # fmt: skip
            generator.out, out.out, back.out = out, _Reflector(back), self._home
            self._generators.append(generator)

    @property
    def sent(self) -> int:
        """Probes so far."""
        return sum(generator.packets_sent for generator in self._generators)

    @property
    def returned(self) -> int:
        """Those of them that came home."""
        return self._home.returned


def _wire(kind: Any, env: simpy.Environment, wire: PlainWire, row: int) -> Any:
    """Return a wire with the delay, jitter and loss of a tunnel's links."""
    links = wire.underlay.links
    route = wire.links(row, 0) or []
    delay_s = sum(int(links.delay_ns[link]) for link in route) / SECOND
    jitter_s = sum(int(links.jitter_ns[link]) for link in route) / SECOND
    kept = 1.0
    for link in route:
        kept *= 1 - int(links.loss_ppm[link]) / PPM

    def loss(packet_id: int) -> float:
        return 1 - kept

    return kind(env, lambda: delay_s + random.random() * jitter_s, loss)


def _always(value: float) -> Callable[[], float]:
    return lambda: value

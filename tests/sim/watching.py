"""Looking over the shoulder of a world: every probe, stamp and edge of silence."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from patronus.engine.overlay import I64
from patronus.engine.units import MS
from patronus.sim.benchmarks.plain import Edge, Probe
from patronus.sim.flight import Flight
from patronus.sim.world import World

GRID_NS = 100 * MS


@dataclass
class Watched:
    """What a world's prober did: fates of probes, edges, stamps on the grid."""

    probes: list[Probe] = field(default_factory=list)
    edges: list[Edge] = field(default_factory=list)
    stamps: dict[int, tuple[I64, I64]] = field(default_factory=dict)
    detect: list[tuple[int, int, int]] = field(default_factory=list)


def watch(world: World) -> Watched:
    """Note everything that a world's prober works out."""
    seen, prober, plane = Watched(), world.prober, world.dataplane
    step, launch, set_detect = prober.step, prober._launch, plane.set_detect
    silence, confirm = plane.silence, plane.confirm

    def stepping(start_ns, end_ns, takers):  # type: ignore[no-untyped-def]  # as step
        edges, taken = step(start_ns, end_ns, takers)
        if end_ns % GRID_NS == 0:
            seen.stamps[end_ns] = plane.heard_ns.copy(), plane.confirmed_ns.copy()
        return edges, taken

    def silencing(rows: Sequence[int], at_ns: int) -> None:
        silence(rows, at_ns)
        seen.edges += [Edge(at_ns, row, silent=True) for row in rows]

    def confirming(rows: Sequence[int], at_ns: int) -> None:
        confirm(rows, at_ns)
        seen.edges += [Edge(at_ns, row, silent=False) for row in rows]

    def launching(rows: slice | I64, sent_ns: I64, ordinal: int) -> None:
        launch(rows, sent_ns, ordinal)
        seen.probes += _probes(prober._flights[-1], world.overlay.rows)

    def setting(rows: I64, detect_ns: I64, now_ns: int) -> None:
        set_detect(rows, detect_ns, now_ns)
        columns = rows.tolist(), detect_ns.tolist()
        seen.detect += [(now_ns, row, ns) for row, ns in zip(*columns, strict=True)]

    prober.step = stepping  # type: ignore[method-assign]  # the world calls what it finds
    prober._launch = launching  # type: ignore[method-assign]  # likewise
    plane.set_detect = setting  # type: ignore[method-assign]  # likewise
    plane.silence = silencing  # type: ignore[method-assign]  # likewise
    plane.confirm = confirming  # type: ignore[method-assign]  # likewise
    return seen


def _probes(flight: Flight, rows: int) -> list[Probe]:
    mute = np.zeros(len(flight.sent_ns), dtype=np.bool_)
    mute[flight.mute] = True
    numbers = np.arange(rows)[flight.rows]
    columns = (numbers, flight.sent_ns, flight.heard_at_ns, flight.back_at_ns, ~mute)
    return [
        Probe(row, flight.ordinal, sent, there, back, hears)
        for row, sent, there, back, hears in zip(*(c.tolist() for c in columns), strict=True)
    ]

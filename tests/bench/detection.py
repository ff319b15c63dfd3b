"""Measure how soon a blackout is seen, at both ends, over keyed phases.

    python -m tests.bench.detection [--phases N] [--seed N]

A ring of sites probes at 10 ms, down after 3 silent intervals. At one instant the access
links of every other site go black: both ways, outwards only, or inwards only. Each end of
each tunnel is one case; its probes have a phase of their own. A case is within the bar if
the tunnel goes down within

    detect time + delay and jitter bound of the way in + one interval
    (+ one round trip, bounds included, where only one direction is cut)

of the cut. Bounds are those of the links that the tunnel crosses; the detect time is that
in force. A tunnel that is never seen down counts as infinite.

The bar is on lines without loss of their own: where one direction is cut, the peer's word
that it hears nothing may be lost on the other, and then comes an interval later. Lines with
their shipped loss are measured, too, without a bar; there loss may have raised the detect
time, and a tunnel that it had taken down before the cut is no case.
"""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

import numpy as np
import numpy.typing as npt

from patronus.engine.liveness import State
from patronus.engine.overlay import I64
from patronus.engine.policy import PROFILES
from patronus.engine.selection import Bools
from patronus.engine.units import MS, SECOND, US
from patronus.sim.language import parse
from patronus.sim.scenario import Scenario
from patronus.sim.world import World

F64 = npt.NDArray[np.float64]

SITES = 300
INTERVAL_NS = PROFILES["fabric"].interval_ns
CUTS = {"both ways": "both", "out": "out", "in": "in"}
LINES = ("mpls", "broadband")
CLEAN = ", ".join(f"{way}: {{loss: 0%, burst: none}}" for way in ("up", "down", "core"))


@dataclass(frozen=True)
class Cases:
    """One element a case."""

    seen_ns: F64
    """From the cut to Down."""
    bound_ns: I64

    @staticmethod
    def join(parts: Iterable["Cases"]) -> "Cases":
        """Return all of several."""
        found = list(parts)
        return Cases(
            np.concatenate([p.seen_ns for p in found]), np.concatenate([p.bound_ns for p in found])
        )

    @property
    def late(self) -> int:
        """How many are beyond their bound."""
        return int(np.count_nonzero(self.seen_ns > self.bound_ns))


def ring(line: str, direction: str, *, sites: int, cut_ns: int, clean: bool) -> Scenario:
    """Return a ring of sites, of which every other one is cut off at an instant."""
    names = [f"{'ab'[n % 2]}{n:03d}" for n in range(sites)]
    pairs = ", ".join(f"[{a}, {b}]" for a, b in zip(names, names[1:] + names[:1], strict=True))
    return parse(
        f"""
version: 1
warmup: 3s
duration: 1500ms
topology: {{mesh: pairs, pairs: [{pairs}], sites: [{", ".join(names)}]}}
transports: {{{line}: {{liveness: fabric{", " + CLEAN if clean else ""}}}}}
faults: [{{kind: blackhole, at: {cut_ns}ns, on: {{site: "a*", direction: {direction}}}}}]
"""
    )


def measure(line: str, direction: str, seed: int, *, sites: int, clean: bool) -> Cases:
    """Run one ring and return its cases."""
    cut_ns = SECOND + seed * 7_777 * US % (100 * MS)
    world = World(ring(line, direction, sites=sites, cut_ns=cut_ns, clean=clean), seed)
    found = watch(world, cut_ns)
    world.run()
    seen_ns = np.full(world.overlay.rows, np.inf)
    for row, at_ns, layer, _ in world.measurement.records.detections:
        if layer == "liveness" and at_ns >= cut_ns:
            seen_ns[row] = min(seen_ns[row], at_ns - cut_ns)
    way_ns = ways_ns(world)
    back_ns = way_ns[world.overlay.reverse]
    bound_ns = found.detect_ns + back_ns + INTERVAL_NS
    if direction != "both":
        bound_ns += way_ns + back_ns
    return Cases(seen_ns[found.up], bound_ns[found.up])


@dataclass
class AtTheCut:
    """By row, when the cut comes."""

    detect_ns: I64
    """In force."""
    up: Bools


def watch(world: World, at_ns: int) -> AtTheCut:
    """Return what will be noted at a time, once it has come."""
    none = np.zeros(world.overlay.rows, dtype=np.int64)
    found = AtTheCut(none, none > 0)

    def note() -> None:
        found.detect_ns = world.dataplane.detect_ns.copy()
        found.up = world.engine.state == State.UP

    world.env.timeout(at_ns - world.now_ns).callbacks.append(lambda _: note())
    return found


def ways_ns(world: World) -> I64:
    """Return by row the longest time that a packet may take one way."""
    links = world.underlay.links
    longest = np.append(links.delay_ns + links.jitter_ns, 0)  # the last for the padding
    total: I64 = longest[world.wire.links_of(np.arange(world.overlay.rows))].sum(axis=1)
    return total


def report(what: str, cases: Cases, *, bar: bool) -> bool:
    """Print a line; tell whether every case is within its bound."""
    p50, p99, most = (
        float(np.percentile(cases.seen_ns, p, method="inverted_cdf")) / MS for p in (50, 99, 100)
    )
    slack_ms = float((cases.bound_ns - cases.seen_ns).min()) / MS
    low, high = cases.bound_ns.min() / MS, cases.bound_ns.max() / MS
    met = cases.late == 0
    print(
        f"{('ok  ' if met else 'MISS') if bar else '    '}  {what:<28} {len(cases.seen_ns):>6} "
        f"p50 {p50:5.1f}  p99 {p99:5.1f}  max {most:5.1f} ms  "
        f"bound {low:.1f} to {high:.1f} ms  nearest {slack_ms:.1f} ms  late {cases.late}",
        flush=True,
    )
    return met


def bench(phases: int, seed: int = 1, sites: int = SITES, *, clean: bool = True) -> bool:
    """Measure every line and cut over so many phases in all; tell whether the bar is met."""
    each, met, total = -(-phases // (len(CUTS) * len(LINES))), True, 0
    for line in LINES:
        for cut, direction in CUTS.items():
            parts: list[Cases] = []
            for number in count(seed):
                parts.append(measure(line, direction, number, sites=sites, clean=clean))
                if sum(len(p.bound_ns) for p in parts) >= each:
                    break
            cases = Cases.join(parts)
            total += len(cases.bound_ns)
            what = f"{line}, {cut}" + ("" if clean else ", own loss")
            met &= report(what, cases, bar=clean)
    print(f"      {total} cases; detect time {PROFILES['fabric'].detect_ns // MS} ms")
    return met and total >= phases


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--phases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    kept = bench(options.phases, options.seed)
    bench(options.phases // 5, options.seed, clean=False)
    sys.exit(0 if kept else 1)

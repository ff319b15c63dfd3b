"""The underlay of a scenario: access links, provider graphs and their delays.

A site's access link leads to the nearest node of the transport's provider. Its
delay is the profile's plus light in fibre over that distance; the delay of a
provider's cable is light in fibre over its length, at least :data:`METRO_NS`, plus
the profile's (0 unless the user wants slower hops).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from patronus.engine.overlay import I32, I64, Overlay
from patronus.engine.pathsearch import EXACT
from patronus.engine.units import US
from patronus.sim.scenario import Scenario, TransportSpec
from patronus.sim.topology.carriers import carrier
from patronus.sim.topology.delays import check_delays, covers, pair_delays
from patronus.sim.topology.groups import conduits, resolve_groups
from patronus.sim.topology.land import Land, keys
from patronus.sim.topology.links import Cables, cable_name, link_table
from patronus.sim.topology.maps import DEGREE, Map
from patronus.sim.topology.sphere import distances, fibre_ns, nearest
from patronus.sim.underlay import Provider, Underlay

METRO_NS: Final = 10 * US
"""No cable of a provider is shorter than this: about 1.6 km of it, and the ports."""


@dataclass(frozen=True, eq=False)
class Core:
    """What one transport's provider looks like, before links have numbers."""

    nodes: tuple[str, ...]
    position: I64
    pop: I64
    """Each site's node."""
    ends: I64
    """The nodes that each cable joins, the one of smaller name first."""
    cables: Cables
    chart: Map | None
    """None: delays are given, the nodes are the sites."""


def build_underlay(
    scenario: Scenario,
    overlay: Overlay,
    *,
    position: I64,
    attached: npt.NDArray[np.bool_],
    land: Land,
) -> Underlay:
    """Build the wires beneath an overlay.

    Args:
        scenario: transports, given delays and shared-risk groups.
        overlay: the tunnels that need a way.
        position: places of the sites in micro-degrees, shape (sites, 2).
        attached: which sites have which transports, shape (sites, transports).
        land: where generated providers lie.

    Raises:
        ValueError: a provider, a group's link or a given delay is wrong or missing.
    """
    check_delays(scenario.topology.delays_ns, overlay.sites, overlay.transports)
    cores = [_core(scenario, overlay, i, position, land) for i in range(len(overlay.transports))]
    access = [
        _access(scenario.transports[i], i, core, overlay.sites, position, attached[:, i])
        for i, core in enumerate(cores)
    ]
    parts = [*access, *(core.cables for core in cores)]
    first = np.cumsum([0, *(2 * len(part.names) for part in parts)]).tolist()
    up = _numbered(attached, first)
    pop = np.stack([core.pop for core in cores], axis=1)
    charts = {i: core.chart for i, core in enumerate(cores) if core.chart}
    underlay = Underlay(
        links=link_table(parts),
        providers=tuple(
            _provider(scenario.transports[i], i, core, first[len(cores) + i])
            for i, core in enumerate(cores)
        ),
        up=up,
        down=np.where(attached, up + 1, -1).astype(np.int32),
        pop=np.where(attached, pop, -1).astype(np.int32),
        groups=conduits(charts, first[len(cores) :]),
        position=position[:, ::-1] / DEGREE,
        fingerprint="",
    )
    own = resolve_groups(scenario.groups, underlay)
    return replace(underlay, groups={**underlay.groups, **own})


def _core(scenario: Scenario, overlay: Overlay, number: int, position: I64, land: Land) -> Core:
    spec = scenario.transports[number]
    if covers(scenario.topology.delays_ns, spec.name):
        return _dedicated(scenario, overlay, number, position)
    chart = carrier(spec.provider, spec.name, land)
    ends = _by_name(chart.nodes, chart.ends)
    length = distances(chart.position[ends[:, 0]], chart.position[ends[:, 1]])
    delay = np.maximum(fibre_ns(length), METRO_NS) + spec.core.delay_ns
    if int(delay.max(initial=0)) * len(chart.nodes) >= EXACT:
        raise ValueError(f"transport `{spec.name}`: a provider's link takes too long to add up")
    pop = nearest(position, chart.position, keys(chart.nodes))
    cables = Cables(
        number, _names(spec.name, chart.nodes, ends), spec.core, spec.core, delay, delay
    )
    return Core(chart.nodes, chart.position, pop, ends, cables, chart)


def _dedicated(scenario: Scenario, overlay: Overlay, number: int, position: I64) -> Core:
    spec, sites = scenario.transports[number], overlay.sites
    mine = np.flatnonzero((overlay.transport == number) & (overlay.src < overlay.dst))
    ends = _by_name(sites, np.stack([overlay.src[mine], overlay.dst[mine]], axis=1))
    pairs = [(sites[a], sites[b]) for a, b in ends.tolist()]
    forth, back = pair_delays(scenario.topology.delays_ns, spec.name, pairs)
    cables = Cables(number, _names(spec.name, sites, ends), spec.core, spec.core, forth, back)
    return Core(sites, position, np.arange(len(sites)), ends, cables, None)


def _by_name(nodes: Sequence[str], ends: I64) -> I64:
    names = np.array(nodes, dtype=np.str_)
    turned = names[ends[:, 0]] > names[ends[:, 1]]
    return np.where(turned[:, None], ends[:, ::-1], ends)


def _names(transport: str, nodes: Sequence[str], ends: I64) -> list[str]:
    return [cable_name(transport, nodes[a], nodes[b]) for a, b in ends.tolist()]


def _access(
    spec: TransportSpec,
    number: int,
    core: Core,
    sites: Sequence[str],
    position: I64,
    attached: npt.NDArray[np.bool_],
) -> Cables:
    names = [f"access:{sites[i]}:{spec.name}" for i in np.flatnonzero(attached).tolist()]
    if core.chart is None:
        none = np.zeros(len(names), dtype=np.int64)
        return Cables(number, names, spec.up, spec.down, none, none)
    far = fibre_ns(distances(position[attached], core.position[core.pop[attached]]))
    return Cables(
        number, names, spec.up, spec.down, far + spec.up.delay_ns, far + spec.down.delay_ns
    )


def _numbered(attached: npt.NDArray[np.bool_], first: Sequence[int]) -> I32:
    up = np.full(attached.shape, -1, dtype=np.int32)
    for i in range(attached.shape[1]):
        mine = attached[:, i]
        up[mine, i] = first[i] + 2 * np.arange(np.count_nonzero(mine))
    return up


def _provider(spec: TransportSpec, number: int, core: Core, first_link: int) -> Provider:
    return Provider(
        transport=number,
        nodes=core.nodes,
        position=core.position[:, ::-1] / DEGREE,
        ends=core.ends.astype(np.int32),
        first_link=first_link,
        reroute_ns=spec.reroute_ns,
        dedicated=core.chart is None,
    )

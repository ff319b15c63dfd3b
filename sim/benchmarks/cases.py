"""The scenarios of the benchmarks.

Conditions are those of the bars of scale: shipped mpls and broadband profiles with their
loss and jitter, keyed phases, probes at 10 Hz, three traffic classes with different SLAs;
backups, transit and checkers on.
"""

from typing import Final, NamedTuple

_SCENARIO: Final = """\
version: 1
name: {name}
duration: {seconds}s
topology: {topology}
transports: [mpls, broadband]
classes:
  voice:
    match: [{{dscp: ef}}]
    sla: {{latency: 150ms, jitter: 30ms, loss: 1%, mos: 4.0}}
    prefer: [mpls]
  video: {{match: [{{dscp: af41}}], sla: {{latency: 200ms, jitter: 50ms, loss: 2%}}}}
  default: {{}}
{groups}traffic:
  - {{class: voice, from: {sources}, to: {targets}, rate: 64kbps, packet: 200B, peers: 1}}
faults:
  - {fault}
expect:
  - failover.p99 < 600ms
"""


class Case(NamedTuple):
    """One scenario, what it may take, and how much of it the peers simulate."""

    name: str
    about: str
    seconds: int
    topology: str
    fault: str
    bar_s: float | None = None
    bar_mb: int | None = None
    sources: str = '"*"'
    targets: str = '"*"'
    cut_sites: int = 0
    """Spokes whose mpls access lines share one risk."""
    peer_tunnels: int = 200
    peer_s: int = 20

    def text(self) -> str:
        """Return the scenario file."""
        lines = [f"access:spoke{n}:mpls" for n in range(1, self.cut_sites + 1)]
        groups = f"groups:\n  cut: [{', '.join(lines)}]\n" if lines else ""
        return _SCENARIO.format(**self._asdict(), groups=groups)


_CUT: Final = "{name: cut, kind: blackhole, at: %ds, for: %ds, on: {site: site1, transport: mpls}}"

SMALL: Final = (
    Case(
        "mesh-10", "10 sites, full mesh; peers simulate all of it", 20,
        "{mesh: full-mesh, sites: 10}", _CUT % (5, 5), peer_s=25,
    ),
    Case(
        "mesh-50-short", "50 sites, full mesh", 30,
        "{mesh: full-mesh, sites: 50}", _CUT % (10, 10), peer_s=10,
    ),
)  # fmt: skip
"""What ``patronus bench`` runs by default."""

FULL: Final = (
    Case(
        "mesh-50", "50 sites, full mesh", 120,
        "{mesh: full-mesh, sites: 50}", _CUT % (30, 30), bar_s=3,
    ),
    Case(
        "hubs-1000", "1000 sites behind 4 hubs", 60,
        "{mesh: hub-and-spoke, sites: 1000, hubs: 4}",
        "{name: hub, kind: site-crash, at: 30s, on: {site: hub1}}",
        bar_s=10, bar_mb=1024, sources="spokes", targets="hubs",
    ),
    Case(
        "mesh-1000", "1000 sites, full mesh", 60,
        "{mesh: full-mesh, sites: 1000, hubs: 4}",
        "{name: cut, kind: shared-risk-cut, at: 30s, on: {group: cut}}",
        bar_s=120, bar_mb=3072, cut_sites=20,
    ),
)  # fmt: skip
"""The bars of scale."""

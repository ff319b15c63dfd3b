"""What the agent says when it is asked: plain data, as ``--json`` prints it.

Unknown figures are ``None``: missing data is its own state. Times are in nanoseconds.
"""

from typing import Any, Final

import numpy as np

from patronus.control.agent.driver import OWN
from patronus.control.agent.history import History
from patronus.control.agent.proofs import Proofs
from patronus.control.agent.site import Site
from patronus.dataplane.linux.views import Counters, named
from patronus.engine.flowshares import PARTS
from patronus.engine.forwarding import NO_ROW
from patronus.engine.liveness import State
from patronus.engine.narrative import path_name
from patronus.engine.overlay import I64
from patronus.engine.verdict import COMPLIANT, OUTAGE, UNKNOWN, VIOLATING

FLOWS_MAX: Final = 1_000
VERDICTS: Final = {
    COMPLIANT: "compliant", UNKNOWN: "unknown", VIOLATING: "violating", OUTAGE: "outage",
}  # fmt: skip

Answer = dict[str, Any]


class Answers:
    """Answers about one site."""

    def __init__(self, site: Site, history: History) -> None:
        assert site.driver is not None
        assert site.kernel is not None
        self._site, self._history = site, history
        self._engine, self._kernel = site.driver.engine, site.kernel
        self._overlay = site.layout.overlay
        self._classes = [c.name for c in site.config.policy.classes]
        self._counters = Counters(site.arrays)
        self._pacing = site.arrays.array("pacing")
        self.proofs: Proofs | None = None
        """Authenticated sessions, once the loop runs."""

    def tunnels(self, now_ns: int) -> list[Answer]:
        """Return how each tunnel is."""
        rows: I64 = np.arange(self._overlay.rows, dtype=np.int64)
        figures = self._engine.figures(rows, now_ns)
        age_ns = now_ns - self._kernel.confirmed_ns
        latched, detect_ns = self._kernel.latched, self._kernel.detect_ns
        adapted = self._engine.tunnels.adapted(rows)
        assert self._site.driver is not None
        out_ns = self._site.driver.one_way.estimates()
        sent = self._counters.tunnels(len(self._kernel.row_of))
        found = []
        for row, lane in enumerate(self._site.layout.lanes):
            met = self._site.rows.mets[row]
            seat, probing = int(self._site.seats[row]), lane.transport.liveness
            found.append(
                {
                    "tunnel": f"{lane.transport.name}>{lane.peer.name}",
                    "peer": lane.peer.name,
                    "transport": lane.transport.name,
                    "kind": str(lane.transport.kind),
                    "state": State(int(self._engine.state[row])).name.lower(),
                    "remote": met.host if met else lane.endpoint.address,
                    "met": met is not None,
                    "silent_ns": None if age_ns[row] > 2**61 else int(age_ns[row]),
                    "latched": bool(latched[row]),
                    "drained": bool(self._engine.drained[row]),
                    "drained_by_peer": bool(self._site.driver.drains.by_peer(rows[row : row + 1])),
                    "rtt_ns": _known(figures.rtt_ns[row]),
                    "jitter_ns": _known(figures.jitter_ns[row]),
                    "loss_ppm": _known(figures.loss_ppm[row]),
                    "out_ns": int(out_ns[row]) or None,
                    "mtu": int(self._kernel.plane.tunnels["mtu"][seat]),
                    "path_mtu": _known_mtu(self._site, row),
                    "path_mtu_state": self._site.path_mtus.state(row),
                    "path_mtu_lowered": int(self._site.path_mtus.lowered[row]),
                    "path_mtu_raised": int(self._site.path_mtus.raised[row]),
                    "proof": self.proofs.state(row, now_ns) if self.proofs else None,
                    "detect_ns": int(detect_ns[row]),
                    "detect_why": _why_detect(
                        probing.interval_ns, probing.multiplier, bool(adapted[row])
                    ),
                    "sent_packets": sent[seat][0].packets,
                    "received_packets": sent[seat][1].packets,
                }
            )
        return found

    def paths(self, now_ns: int) -> list[Answer]:
        """Return where each entry goes now, and what stands ready."""
        assert self._site.driver is not None
        table, found = self._site.driver.table, []
        shares = self._kernel.shares(np.arange(len(table), dtype=np.int64)).tolist()
        for entry in range(len(table)):
            key = self._engine.space.key(entry)
            if OWN in self._overlay.destinations[key.destination].sites:
                continue
            carried, counter = self._kernel.where(entry, now_ns)
            found.append(
                {
                    "destination": self._overlay.destinations[key.destination].name,
                    "class": self._classes[key.traffic_class],
                    "path": path_name(self._overlay, carried, key.destination) or None,
                    "outcome": counter.name.lower(),
                    "candidates": [
                        path_name(self._overlay, int(row), key.destination)
                        for row in table.rows[entry]
                        if row != NO_ROW
                    ],
                    "shares": [PARTS - sum(shares[entry]), *shares[entry]],
                    "pinned": self._site.config.policy.classes[key.traffic_class].pinned,
                    "drop_when_dead": bool(table.drop[entry]),
                    "shared_fate": bool(table.shared_fate[entry]),
                }
            )
        return found

    def forwarding(self, now_ns: int) -> Answer:
        """Return what the kernel's maps hold."""
        del now_ns
        names = self._names()
        return {
            "generation": self._kernel.plane.generation,
            "programmed": self._engine.programmed_generation,
            "prefixes": [
                {"prefix": str(p), "destination": names.get(t.destination), "local": t.local}
                for p, t in sorted(self._site.prefixes.items(), key=lambda i: str(i[0]))
            ],
        }

    def flows(self, most: int) -> list[Answer]:
        """Return the flows with the most bytes."""
        names = self._names()
        return [
            {
                "source": str(f.source),
                "target": str(f.target),
                "protocol": f.protocol,
                "source_port": f.source_port,
                "target_port": f.target_port,
                "destination": names.get(f.destination),
                "class": (
                    self._classes[f.traffic_class] if f.traffic_class < len(self._classes) else None
                ),
                "pinned_to": None if f.row is None else self._label(f.row),
                "packets": f.packets,
                "bytes": f.bytes,
            }
            for f in self._site.flows(min(most, FLOWS_MAX))
        ]

    def counters(self, now_ns: int) -> Answer:
        """Return every counter by its name."""
        del now_ns
        driver = self._site.driver
        assert driver is not None
        classes = self._counters.classes()
        return {
            "outcomes": named(self._counters.outcomes()),
            "notes": named(self._counters.notes()),
            "classes": {n: classes[i].packets for i, n in enumerate(self._classes)},
            "drifts": dict(self._site.drifts),
            "meeting_refused": {str(k): v for k, v in self._site.meeting.refused.items()},
            "path_mtu": self._site.path_mtus.counts,
            "proofs_refused": self.proofs.refused if self.proofs else {},
            "kernel_moves": driver.kernel_moves,
            "kernel_moves_lost": driver.kernel_moves_lost,
            "decisions": self._history.count,
            "pacer_rebuilt": self._site.probers_rebuilt(),
            "pauses": int(self._pacing["pauses"][0]),
            "paused_ns": int(self._pacing["paused_ns"][0]),
        }

    def keys(self, now_ns: int) -> list[Answer]:
        """Return how the WireGuard key of each transport is."""
        return self._site.rotations.answer(now_ns)

    def why(self, destination: str, traffic_class: str, now_ns: int) -> Answer:
        """Return the decision in force for an entry, what came before, and what there is.

        Raises:
            LookupError: there is no such destination or class.
        """
        names = [d.name for d in self._overlay.destinations]
        chosen = traffic_class or self._classes[-1]
        if destination not in names:
            raise LookupError(f"there is no destination {destination}; {', '.join(names)}")
        if chosen not in self._classes:
            raise LookupError(f"there is no class {chosen}; {', '.join(self._classes)}")
        number = self._classes.index(chosen)
        entry = self._engine.space.index(OWN, names.index(destination), number)
        verdict = self._engine.ranking.verdict[number]
        tunnels = self.tunnels(now_ns)
        for row, tunnel in enumerate(tunnels):
            tunnel["verdict"] = VERDICTS[int(verdict[row])]
        paths = self.paths(now_ns)
        now = [p for p in paths if (p["destination"], p["class"]) == (destination, chosen)]
        return {
            "entry": entry,
            "now": now[0] if now else None,
            "decision": self._history.last(destination, chosen),
            "recent": self._history.recent(destination, chosen),
            "tunnels": tunnels,
        }

    def rows(self, name: str) -> I64:
        """Return the rows of a tunnel (``transport>peer``), a transport or a peer.

        Raises:
            LookupError: nothing is called so.
        """
        lanes = self._site.layout.lanes
        found = [
            row
            for row, w in enumerate(lanes)
            if name in (f"{w.transport.name}>{w.peer.name}", w.transport.name, w.peer.name)
        ]
        if not found:
            raise LookupError(f"no tunnel, transport or peer is called {name}")
        return np.array(found, dtype=np.int64)

    def _names(self) -> dict[int, str]:
        """Return the destinations by their places in the kernel."""
        found = zip(self._site.places.tolist(), self._overlay.destinations, strict=True)
        return {place: destination.name for place, destination in found}

    def _label(self, seat: int) -> str | None:
        row = int(self._kernel.row_of[seat]) if seat < len(self._kernel.row_of) else NO_ROW
        if row == NO_ROW:
            return None
        lane = self._site.layout.lanes[row]
        return f"{lane.transport.name}>{lane.peer.name}"


def _known_mtu(site: Site, row: int) -> int | None:
    """Return what the path takes, as far as it was found or is configured."""
    lane = site.layout.lanes[row]
    return lane.transport.mtu or int(site.rows.path_mtus[row]) or None


def _known(figure: Any) -> int | None:
    return None if int(figure) < 0 else int(figure)


def _why_detect(interval_ns: int, multiplier: int, adapted: bool) -> str:
    told = f"{interval_ns / 1e6:g} ms × {multiplier} as configured"
    return f"raised above {told}: measured loss would make false downs" if adapted else told

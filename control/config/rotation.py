"""Checks what replaces WireGuard keys: how often, and where the next key's device listens."""

from collections.abc import Iterator

from patronus.control.config.model import PORT_USUAL, Kind, Transport
from patronus.engine.policy import PROFILES
from patronus.engine.units import MINUTE
from patronus.sim.language.records import Rec
from patronus.sim.language.shapes import Reading

EVERY_LEAST_NS = MINUTE
"""A rotation takes seconds, and minutes where a peer does not follow."""


def check(root: Rec, reading: Reading) -> None:
    """Note schedules for nothing, or too short, and ports that are taken."""
    transports: dict[str, Rec] = root.get("transports", {})
    over = {n: r for n, r in transports.items() if _kind(r) is Kind.WIREGUARD}
    if "rotate_every" in root:
        mark, every_ns = root.mark("rotate_every"), root.get("rotate_every")
        if every_ns and every_ns < EVERY_LEAST_NS:
            reading.wrong(mark, "keys would be replaced without a pause", "1m or more",
                          "sessions have fresh keys every two minutes anyway")  # fmt: skip
        elif every_ns and transports and not over and not root.broken("transports"):
            reading.wrong(mark, "no tunnel has a key to be replaced",
                          "a transport with `kind: wireguard`")  # fmt: skip
    for name, rec in transports.items():
        if "next_port" in rec and name not in over:
            reading.wrong(rec.mark("next_port"), "its tunnels have no keys",
                          "`next_port` where a transport has `kind: wireguard`")  # fmt: skip
    for name, rec in over.items():
        for other in _takers(name, rec, transports):
            mark = rec.mark("next_port") if "next_port" in rec else rec.node.mark
            reading.wrong(mark, f"the next key of {name} would use port {_ports(rec)[1]}, "
                          f"as {other} does", "another `next_port`")  # fmt: skip


def _takers(name: str, rec: Rec, transports: dict[str, Rec]) -> Iterator[str]:
    """Yield who else uses the port of a transport's next key."""
    port, next_port = _ports(rec)
    if next_port == port:
        yield "the present one"
    for other, theirs in transports.items():
        first, second = _ports(theirs)
        same = _kind(theirs) is Kind.WIREGUARD and first == port  # that is told elsewhere
        if other == name or same:
            continue
        if next_port == first:
            yield other
        elif _kind(theirs) is Kind.WIREGUARD and next_port == second and name < other:
            yield f"that of {other}"


def _kind(rec: Rec) -> Kind:
    kind: Kind = rec.get("kind", Kind.WIREGUARD)
    return kind


def _ports(rec: Rec) -> tuple[int, int]:
    port = rec.get("port", PORT_USUAL)
    made = Transport("", "", PROFILES["wan"], port=port, next_port=rec.get("next_port", 0))
    return made.ports

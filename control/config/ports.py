"""Checks which ports VXLAN tunnels may have."""

from patronus.control.config.model import PORT_USUAL, Kind
from patronus.sim.language.records import Rec
from patronus.sim.language.shapes import Reading
from patronus.sim.language.tree import MapNode


def check(root: Rec, reading: Reading) -> None:
    """Note VXLAN transports whose port is not theirs alone, or another one at the peer."""
    transports: dict[str, Rec] = root.get("transports", {})
    kinds = {name: rec.get("kind", Kind.WIREGUARD) for name, rec in transports.items()}
    ports = {name: rec.get("port", PORT_USUAL) for name, rec in transports.items()}
    vxlan = [name for name, kind in kinds.items() if kind is Kind.VXLAN]
    for name in vxlan:
        others = [n for n in transports if ports[n] == ports[name] and kinds[n] is not Kind.VXLAN]
        for other in others:
            reading.wrong(transports[name].node.mark, f"{name} and {other} both use port "
                          f"{ports[name]}, and VXLAN takes it on every address",
                          "another port for one of them, such as 4789 for VXLAN")  # fmt: skip
    for peer in root.get("peers", {}).values():
        _endpoints(peer, {name: ports[name] for name in vxlan}, reading)


def _endpoints(peer: Rec, ports: dict[str, int], reading: Reading) -> None:
    node = peer.node.get("endpoints")
    for name, given in peer.get("endpoints", {}).items():
        place = given.get("address") if isinstance(given, Rec) else given
        if name in ports and isinstance(node, MapNode) and place and place[1] not in (
            None, ports[name],
        ):  # fmt: skip
            reading.wrong(node.entries[name].node.mark,
                          f"port {place[1]}, but VXLAN over {name} uses {ports[name]} at both ends",
                          "the address alone, or the transport's `port` at both")  # fmt: skip

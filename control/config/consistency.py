"""Checks what no single value of ``agent.yml`` can show: what must agree with what."""

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Final

from patronus.control.config import bfd, ports, rotation
from patronus.control.config.model import PORT_USUAL, Kind, Pacing, Role
from patronus.sim.language.consistency import check_classes, check_distinct
from patronus.sim.language.mistakes import Mark, did_you_mean, one_of, quoted
from patronus.sim.language.records import Rec
from patronus.sim.language.shapes import Reading
from patronus.sim.language.tree import ListNode, MapNode, Node

IPV6_LEAST: Final = 1280
"""The smallest MTU of a link that carries IPv6 (RFC 8200 section 5)."""

OUTER_BYTES: Final = {Kind.PLAIN: 28, Kind.VXLAN: 50, Kind.WIREGUARD: 60}
"""What a tunnel over IPv4 puts around each packet at least: IP and UDP; VXLAN (RFC 7348) and the
inner Ethernet header; WireGuard's message header and tag."""

RECORD_LEAST: Final = 1_000_000
PROOFS_LEAST_NS: Final = 100_000_000
"""As ``USER_INTERVAL_NS_MIN`` in ``patronus.dataplane.stamp.session``, which brings NumPy."""


def check(root: Rec, reading: Reading) -> None:
    """Note all that does not fit together in a file whose values have been read."""
    _peers(root, reading)
    _transports(root, reading)
    ports.check(root, reading)
    rotation.check(root, reading)
    _lan(root, reading)
    bfd.check(root, _lan_names(root), reading)
    _prefixes(root, reading)
    _reachable(root, reading)
    _services(root, reading)
    check_classes(root.get("policy"), _keys(root, "transports"), reading)
    _mentions(root, reading)


def _keys(root: Rec, key: str) -> tuple[str, ...]:
    node = root.node.get(key)
    return tuple(node.entries) if isinstance(node, MapNode) else ()


def _key_marks(root: Rec, key: str) -> dict[str, Mark]:
    node = root.node.get(key)
    return {n: e.key for n, e in node.entries.items()} if isinstance(node, MapNode) else {}


def _items(rec: Rec, key: str) -> Iterator[tuple[Node, str]]:
    """Yield the scalars of a list that may be a single one, with their texts."""
    node = rec.node.get(key)
    for item in node.items if isinstance(node, ListNode) else [node] if node else []:
        if text := getattr(item, "text", ""):
            yield item, text


# ---------------------------------------------------------------- names


def _mentions(root: Rec, reading: Reading) -> None:
    known = {
        "transport": _keys(root, "transports"),
        "site": (root.get("site", ""), *_keys(root, "peers")),
    }
    for mention in reading.mentions:
        names = [name for name in known[mention.kind] if name]
        if mention.name not in names and not root.broken(f"{mention.kind}s"):
            reading.wrong(mention.mark, f"there is no {mention.kind} {quoted(mention.name)}",
                          one_of(names, 12) or f"the file names no {mention.kind}",
                          did_you_mean(mention.name, names))  # fmt: skip


def _peers(root: Rec, reading: Reading) -> None:
    own, marks = root.get("site"), _key_marks(root, "peers")
    if own in marks:
        reading.wrong(marks[own], f"{quoted(own)} is this site itself", "the name of another site",
                      f"`site: {own}` is in line {root.mark('site').line}")  # fmt: skip
    peers: dict[str, Rec] = root.get("peers", {})
    keys = [(peer.get("key", ""), peer.mark("key")) for peer in peers.values()]
    first: dict[str, Mark] = {}
    for key, mark in keys:
        if key and key in first:
            reading.wrong(mark, "two peers have this key", "each site's own key",
                          f"the other is in line {first[key].line}")  # fmt: skip
        first.setdefault(key, mark)
    for name, mark in _key_marks(root, "destinations").items():
        if name == own or name in marks:
            reading.wrong(mark, f"{quoted(name)} is the name of a site too", "another name",
                          "every site is a destination already")  # fmt: skip


def _reachable(root: Rec, reading: Reading) -> None:
    """Note peers without a tunnel of their own where nobody carries traffic to them."""
    peers: dict[str, Rec] = root.get("peers", {})
    carried = any(p.get("endpoints") and p.get("role", Role.SPOKE).carries for p in peers.values())
    for name, peer in peers.items():
        alone = not peer.get("endpoints") and not peer.broken("endpoints")
        if alone and not carried and not root.broken("peers"):
            reading.wrong(_key_marks(root, "peers")[name], f"nothing leads to {name}",
                          "`endpoints`, or a peer in between with `role: hub`")  # fmt: skip


# ---------------------------------------------------------------- transports


def _transports(root: Rec, reading: Reading) -> None:
    transports: dict[str, Rec] = root.get("transports", {})
    first: dict[str, str] = {}
    for name, rec in transports.items():
        place = f"{rec.get('interface')} port {rec.get('port', PORT_USUAL)}"
        if place in first:
            reading.wrong(rec.node.mark, f"{first[place]} and {name} both use {place}",
                          "another interface or port for each transport")  # fmt: skip
        first.setdefault(place, name)
        _families(rec, reading)
        _proofs(rec, reading)
        _room(rec, _carries_ipv6(root), reading)
    for peer in root.get("peers", {}).values():
        _endpoints(peer, transports, reading)


def _families(rec: Rec, reading: Reading) -> None:
    address, gateway = rec.get("address"), rec.get("gateway")
    if address and gateway and _version(address) != _version(gateway):
        reading.wrong(rec.mark("gateway"), f"{gateway} is no neighbour of {address}",
                      f"an IPv{_version(address)} address, as ours is")  # fmt: skip


def _proofs(rec: Rec, reading: Reading) -> None:
    interval_ns = rec.get("proofs")
    if interval_ns is None:
        return
    if rec.get("kind", Kind.WIREGUARD) is Kind.WIREGUARD:
        reading.wrong(rec.mark("proofs"), "WireGuard authenticates its tunnels itself",
                      "no `proofs`, or another kind of tunnel")  # fmt: skip
    elif interval_ns < PROOFS_LEAST_NS:
        reading.wrong(rec.mark("proofs"), "probes of user space are too irregular for that",
                      "100ms or more")  # fmt: skip


def _version(address: str) -> int:
    return ip_address(address).version


def _carries_ipv6(root: Rec) -> str:
    """Return some IPv6 prefix that is to be carried, "" if there is none."""
    owners = (root.get("lan"), *root.get("peers", {}).values(),
              *root.get("destinations", {}).values())  # fmt: skip
    prefixes = (p for rec in owners if rec for p in rec.get("prefixes", ()))
    return next((prefix for prefix in prefixes if ":" in prefix), "")


def _room(rec: Rec, prefix: str, reading: Reading) -> None:
    """Note an MTU in which no IPv6 packet of the smallest MTU would fit."""
    least = IPV6_LEAST + OUTER_BYTES[rec.get("kind", Kind.WIREGUARD)]
    if prefix and rec.get("mtu", least) < least:
        reading.wrong(rec.mark("mtu"), f"an MTU of {rec.get('mtu')} is too small for IPv6",
                      f"at least {least}: {IPV6_LEAST} (RFC 8200) and the tunnel's headers",
                      f"or carry no IPv6; {prefix} is carried now")  # fmt: skip


def _endpoints(peer: Rec, transports: dict[str, Rec], reading: Reading) -> None:
    node = peer.node.get("endpoints")
    for name, given in peer.get("endpoints", {}).items():
        place = given.get("address") if isinstance(given, Rec) else given
        own = transports.get(name)
        address = own.get("address") if own else None
        if place is None or address is None or own is None or not isinstance(node, MapNode):
            continue
        mark = node.entries[name].node.mark
        if _version(place[0]) != _version(address):
            reading.wrong(mark, f"an IPv{_version(place[0])} address, but ours over {name} is "
                          f"{address}", f"an IPv{_version(address)} address")  # fmt: skip
        if place == (address, place[1]) and (place[1] or own.get("port")) == own.get("port"):
            reading.wrong(mark, "this is our own address", f"where the peer is found over {name}")
    _psk(peer, transports, reading)


def _psk(peer: Rec, transports: dict[str, Rec], reading: Reading) -> None:
    used = (transports[n] for n in peer.get("endpoints", {}) if n in transports)
    kinds = {t.get("kind", Kind.WIREGUARD) for t in used}
    if "psk" in peer and kinds and Kind.WIREGUARD not in kinds:
        reading.wrong(peer.mark("psk"), "none of its tunnels takes a key",
                      "a pre-shared key where a transport has `kind: wireguard`")  # fmt: skip


# ---------------------------------------------------------------- prefixes and services


def _lan(root: Rec, reading: Reading) -> None:
    lan: Rec | None = root.get("lan")
    node = lan.node.get("interfaces") if lan else None
    items = node.items if isinstance(node, ListNode) else (node,) if node else ()
    named = lan.get("interfaces", ()) if lan else ()
    if len(items) != len(named):  # a broken one has been noted
        return
    underlay = {t.get("interface"): n for n, t in root.get("transports", {}).items()}
    places = []
    for item, given in zip(items, named, strict=True):
        vlan = given.get("vlan") if isinstance(given, Rec) else None
        name = given.get("name", "") if isinstance(given, Rec) else given
        places.append((f"{name}.{vlan}" if vlan else name, item.mark))
        if name in underlay and not vlan:
            reading.wrong(item.mark, f"{name} is the interface of the transport {underlay[name]}",
                          "an interface of the site's own network",
                          "a VLAN of it can be: `{name: …, vlan: …}`")  # fmt: skip
    check_distinct(places, "interface", reading)


def _lan_names(root: Rec) -> tuple[str, ...]:
    lan: Rec | None = root.get("lan")
    given = lan.get("interfaces", ()) if lan else ()
    return tuple(i.get("name", "") if isinstance(i, Rec) else i for i in given)


def _prefixes(root: Rec, reading: Reading) -> None:
    """Note prefixes that are to be found at two places."""
    owners: Iterable[tuple[str, Rec]] = (
        *([(root.get("site", "this site"), root.get("lan"))] if root.get("lan") else []),
        *root.get("peers", {}).items(),
        *root.get("destinations", {}).items(),
    )
    first: dict[str, str] = {}
    for owner, rec in owners:
        known = set(rec.get("prefixes", ()))
        for item, text in _items(rec, "prefixes"):
            if text in first and text in known:
                reading.wrong(item.mark, f"{text} is given for {first[text]} and for {owner}",
                              "each prefix once",
                              "what several sites announce is one of `destinations`")  # fmt: skip
            first.setdefault(text, owner)


def _services(root: Rec, reading: Reading) -> None:
    dataplane = root.get("dataplane")
    if dataplane and dataplane.get("probes") is Pacing.SENDER:
        # Probes and users' packets of a tunnel share its numbers, which programs count up
        # atomically; a process cannot, and numbers given twice would be losses at the peer.
        reading.wrong(dataplane.mark("probes"), "beside BPF no process can send probes, since the "
                      "kernel alone numbers packets of tunnels", "kernel",
                      "without BPF a process sends them, whatever this says")  # fmt: skip
    metrics, record = root.get("metrics"), root.get("record")
    if metrics and metrics.get("address") and not metrics.get("expose"):
        address = metrics.get("address")
        if not ip_address(address).is_loopback:
            reading.wrong(metrics.mark("address"), f"{address} can be asked by other machines",
                          "an address of this machine alone, such as 127.0.0.1",
                          "add `expose: on` if that is meant")  # fmt: skip
    if record and record.get("size", RECORD_LEAST) < RECORD_LEAST:
        reading.wrong(record.mark("size"), "files of this size hold next to nothing",
                      "1MB or more")  # fmt: skip

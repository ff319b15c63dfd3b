"""Checks what no single value can show: counts, times and words that must agree."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from patronus.engine.units import MINUTE
from patronus.sim.language.build import fault_names
from patronus.sim.language.mistakes import Mark, did_you_mean, one_of, quoted
from patronus.sim.language.profiles import SHIPPED
from patronus.sim.language.quantities import shown
from patronus.sim.language.records import Rec
from patronus.sim.language.references import check_mentions, meant
from patronus.sim.language.rosters import Roster, listed_sites, roster, site_name
from patronus.sim.language.shapes import Reading
from patronus.sim.language.tree import ListNode, MapNode, Node
from patronus.sim.scenario import Mesh


def check(root: Rec, reading: Reading) -> None:
    """Note all that does not fit together in a scenario whose values have been read."""
    names = roster(root, reading)
    faults: Sequence[Rec] = root.get("faults", ())
    if spec := root.get("topology"):
        _sites(spec, names, reading)
        _mesh(spec, names, reading)
        _delays(spec, reading)
    _transports(root, reading)
    _destinations(root, names, reading)
    for policy in (root.get("policy"), *(fault.get("policy") for fault in faults)):
        check_classes(policy, names.transports, reading)
    for fault in faults:
        if not root.broken("duration"):
            _time(fault, root.get("duration", MINUTE), reading)
        _attached(fault, root.get("topology"), names, reading)
    called = _known_faults(root, faults)
    places = [fault.mark("name") for fault in faults]
    check_distinct(zip(called or (), places, strict=False), "fault", reading)
    check_mentions(reading, names, called)


def check_distinct(named: Iterable[tuple[str, Mark]], what: str, reading: Reading) -> None:
    """Note names that stand twice."""
    first: dict[str, Mark] = {}
    for name, mark in named:
        if name and name in first:
            reading.wrong(mark, f"two {what}s are called {quoted(name)}", "unique names",
                          f"the other is in line {first[name].line}")  # fmt: skip
        first.setdefault(name, mark)


# ---------------------------------------------------------------- topology


def _sites(spec: Rec, names: Roster, reading: Reading) -> None:
    listed = listed_sites(spec)
    if "sites" not in spec and "map" not in spec:
        reading.wrong(spec.node.mark, "there are no sites", "`sites` or `map`", "add `sites: 20`")
    check_distinct(_named(spec, listed), "site", reading)
    hubs = spec.get("hubs", 0)
    sites = spec.get("sites")
    count = sites if isinstance(sites, int) else len(names.sites or ())
    if isinstance(hubs, int) and count and hubs > count:
        reading.wrong(spec.mark("hubs"), f"{hubs} hubs are more than the {count} sites",
                      f"at most {count}")  # fmt: skip
    if not isinstance(hubs, int) and not listed:
        reading.wrong(spec.mark("hubs"), "hubs can be named only among listed sites",
                      "a number of hubs", f"write `hubs: {len(hubs)}`")  # fmt: skip
    if hubs and any(isinstance(site, Rec) and site.get("hub") for site in listed):
        reading.wrong(spec.key_mark("hubs"), "hubs are named here and marked at the sites",
                      "one of the two", "remove `hubs`")  # fmt: skip


def _named(spec: Rec, listed: Sequence[Rec | str]) -> list[tuple[str, Mark]]:
    node = spec.node.get("sites")
    items = node.items if isinstance(node, ListNode) else ()
    if len(items) != len(listed):  # a broken one has been noted; its place is not known here
        return []
    return [(site_name(s), _name_mark(n)) for s, n in zip(listed, items, strict=True)]


def _name_mark(node: Node) -> Mark:
    name = node.get("name") if isinstance(node, MapNode) else None
    return name.mark if name else node.mark


_BELONGS: Final = {"pairs": Mesh.PAIRS, "degree": Mesh.PARTIAL, "regions": Mesh.REGIONAL}


def _mesh(spec: Rec, names: Roster, reading: Reading) -> None:
    if spec.broken("mesh"):
        return
    mesh = spec.get("mesh", Mesh.FULL)
    for key, owner in _BELONGS.items():
        if key in spec and mesh is not owner:
            reading.wrong(spec.key_mark(key), f"`{key}` means nothing for the mesh {mesh}",
                          f"`mesh: {owner}`", f"remove it, or write `mesh: {owner}`")  # fmt: skip
    if mesh is Mesh.PAIRS and "pairs" not in spec:
        reading.wrong(spec.mark("mesh"), "the mesh pairs needs `pairs`", "a list of pairs of sites",
                      "add `pairs: [[a, b], …]`")  # fmt: skip
    hubs = sum((names.sites or {}).values())
    if mesh in (Mesh.HUBS, Mesh.REGIONAL) and names.sites and not hubs:
        reading.wrong(spec.mark("mesh"), f"the mesh {mesh} needs hubs",
                      "`hubs`, or sites marked `hub: on`", "add `hubs: 2`")  # fmt: skip
    if mesh is Mesh.REGIONAL and spec.get("regions", 1) > hubs > 0:
        reading.wrong(spec.mark("regions"), f"{spec.get('regions')} regions have only "
                      f"{hubs} hubs", "a hub in each region")  # fmt: skip
    if mesh is Mesh.REGIONAL:
        _regions(spec, names, reading)
    _pairs(spec, reading)


def _regions(spec: Rec, names: Roster, reading: Reading) -> None:
    sites = [site for site in listed_sites(spec) if isinstance(site, Rec)]
    hubs = {name for name, hub in (names.sites or {}).items() if hub}
    served = {site_name(site): site.get("region") for site in sites if site_name(site) in hubs}
    if len(served) < len(hubs) or None in served.values():
        return  # hubs without a region are dealt out to those that lack one
    for site in sites:
        if site.get("region", "") not in {"", *served.values()}:
            reading.wrong(site.mark("region"), f"no hub is in the region {site.get('region')}",
                          one_of(sorted(set(served.values()))))  # fmt: skip


def _pairs(spec: Rec, reading: Reading) -> None:
    seen = set()
    for pair in spec.get("pairs", ()):
        if len(set(pair)) == 1:
            reading.wrong(spec.mark("pairs"), f"`{pair[0]}` is paired with itself", "two sites")
        elif frozenset(pair) in seen:
            reading.wrong(spec.mark("pairs"), f"{' and '.join(pair)} are paired twice", "once")
        seen.add(frozenset(pair))


def _delays(spec: Rec, reading: Reading) -> None:
    seen = set()
    for delay in spec.get("delays", ()):
        a, b, transport = (delay.get(key, "") for key in ("from", "to", "transport"))
        if a and a == b:
            reading.wrong(delay.mark("to"), f"a delay from {a} to itself", "two sites")
        if a and b and (a, b, transport) in seen:
            over = f" over {transport}" if transport else ""
            reading.wrong(
                delay.node.mark, f"the delay from {a} to {b}{over} is given twice", "once"
            )
        seen.add((a, b, transport))


# ---------------------------------------------------------------- transports and classes


def _transports(root: Rec, reading: Reading) -> None:
    node = root.node.get("transports")
    for name, entry in node.entries.items() if isinstance(node, MapNode) else ():
        given = root.get("transports", {}).get(name, "broken")
        unnamed = given is None or (isinstance(given, Rec) and "profile" not in given)
        if unnamed and name not in SHIPPED:
            advice = did_you_mean(name, SHIPPED) or "add `profile: broadband` to begin with one"
            what, expected = f"{quoted(name)} is no shipped profile", one_of(tuple(SHIPPED))
            reading.wrong(entry.key, what, expected, advice)
        if isinstance(given, Rec) and "provider" in given.values:
            _provider(given, reading)


_GENERATED: Final = ("ring", "mesh", "star", "geo")


def _provider(rec: Rec, reading: Reading) -> None:
    name = rec.get("provider")
    kind, _, size = name.partition(":")
    try:
        if kind not in _GENERATED:
            from patronus.sim.topology.maps import load_map  # brings NumPy

            load_map(name)
        elif size:
            from patronus.sim.topology.carriers import SIZES

            _, least, most = SIZES[kind]
            if not size.isdecimal() or not least <= int(size[:6]) <= most:
                raise ValueError(f"{kind} takes {least} to {most} nodes")
    except ValueError as error:
        near = "" if kind in _GENERATED else did_you_mean(name, _GENERATED)
        reading.wrong(rec.mark("provider"), str(error), rec.fields["provider"].shape.about, near)


def _destinations(root: Rec, names: Roster, reading: Reading) -> None:
    node = root.node.get("destinations")
    for name, entry in node.entries.items() if isinstance(node, MapNode) else ():
        if names.sites and name in names.sites:
            reading.wrong(entry.key, f"{quoted(name)} is the name of a site too",
                          "another name", "every site is a destination already")  # fmt: skip


def check_classes(policy: Rec | None, transports: Collection[str] | None, reading: Reading) -> None:
    """Note classes of a policy that cannot stand together, or can use no transport at all."""
    node = policy.node.get("classes") if policy else None
    entries = node.entries if isinstance(node, MapNode) else {}
    rest = [name for name, e in entries.items() if isinstance(e.node, MapNode)
            and "match" not in e.node.entries]  # fmt: skip
    for name in rest[1:]:
        what = f"the classes {rest[0]} and {name} both take all the rest"
        advice = f"give {rest[0]} or {name} a `match`"
        reading.wrong(entries[name].key, what, "one class without `match`", advice)
    for name, rec in (policy.get("classes", {}) if policy else {}).items():
        if transports and set(transports) <= set(rec.get("forbid", ())):
            reading.wrong(rec.mark("forbid"), f"the class {name} may use no transport at all",
                          "at least one transport that is not forbidden")  # fmt: skip


# ---------------------------------------------------------------- faults


def _known_faults(root: Rec, faults: Sequence[Rec]) -> Sequence[str] | None:
    node = root.node.get("faults")
    count = len(node.items) if isinstance(node, ListNode) else 0
    whole = count == len(faults) and all("kind" in fault.values for fault in faults)
    return fault_names(faults) if whole else None


def _time(fault: Rec, duration: int, reading: Reading) -> None:
    if fault.get("at", 0) >= duration:
        begins, ends = shown(fault.get("at")), shown(duration)
        what = f"the fault begins at {begins}, but the run ends at {ends}"
        advice = "make `duration` longer, or `at` earlier"
        reading.wrong(fault.mark("at"), what, f"a time before {ends}", advice)


def _attached(fault: Rec, spec: Rec | None, names: Roster, reading: Reading) -> None:
    """Note a fault whose sites have none of its transports."""
    on = fault.get("on")
    if not on or not spec or not names.sites or not {"site", "transport"} <= on.values.keys():
        return
    own = {site_name(s): s.get("transports") for s in listed_sites(spec) if isinstance(s, Rec)}
    hit = {site for word in on.get("site") for site in meant(word, names.sites)}
    wanted = set(on.get("transport"))
    if hit and not any(wanted & set(own.get(site) or wanted) for site in hit):
        reading.wrong(on.node.mark, "none of these sites has any of these transports",
                      "a site with the transport, as `topology.sites` says")  # fmt: skip

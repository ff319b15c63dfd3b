"""The map: sites and provider links where they are, with the failed parts marked."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from patronus.sim.report import words
from patronus.sim.report.geography import Map
from patronus.sim.report.lettering import Lettering
from patronus.sim.report.markup import Markup, join, percent, tag
from patronus.sim.report.tables import left_out

LINKS, NODES = 3_000, 500
"""More links or providers' places than this cannot be told apart; failed links are drawn first."""

NAMED_WIDE, NAMED_NARROW = 150, 20
"""On a map of more sites only hubs and failed sites have their names beside them."""

WIDE, NARROW = 1040.0, 320.0
"""Widths in pixels for which the places of the names are chosen."""


def topology(run_topology: Mapping[str, Any]) -> Markup:
    """Return the map with its legend."""
    plan = Map(run_topology)
    if not plan.sites:
        return tag("p", "The places of the sites are not known.")
    links = sorted(plan.links, key=lambda k: k["name"] in plan.failed, reverse=True)[:LINKS]
    sites = sorted(plan.sites, key=lambda s: _rank(plan, s), reverse=True)
    about = (
        f"Map of {words.counted(len(sites), 'site')} and {words.counted(len(plan.links), 'link')}; "
        f"faults hit {words.counted(len(plan.failed), 'link')} and "
        f"{words.counted(len(plan.failed_sites), 'site')}"
    )
    drawn = tag(
        "svg",
        tag("title", about),
        [_provider(plan, i, links) for i in range(len(plan.providers))],
        [_link(plan, link) for link in links if link["name"] in plan.failed],
        [_node(plan, node) for node in plan.nodes[:NODES]],
        [_site(plan, site) for site in sites],
        _names(plan, sites, WIDE, NAMED_WIDE, "when-wide"),
        _names(plan, sites, NARROW, NAMED_NARROW, "when-narrow"),
        role="img",
        width="100%",
        height="100%",
    )
    frame = tag("div", drawn, class_="map", style=f"aspect-ratio: 1 / {plan.ratio:.3f}")
    more = left_out(len(plan.links) - len(links), "links are not drawn.")
    return join(frame, _legend(plan), more)


def _rank(plan: Map, site: Mapping[str, Any]) -> tuple[bool, bool]:
    return site["name"] in plan.failed_sites, bool(site.get("hub"))


def _provider(plan: Map, index: int, links: Sequence[Mapping[str, Any]]) -> Markup:
    # Two providers often join the same places; apart by a little, both lines are seen.
    apart = 2.5 * (index - (len(plan.providers) - 1) / 2)
    own = [k for k in links if k["provider"] == plan.providers[index]]
    sound = [_link(plan, link) for link in own if link["name"] not in plan.failed]
    return tag("g", sound, transform=f"translate({apart:.1f} {apart / 2:.1f})")


def _link(plan: Map, link: Mapping[str, Any]) -> Markup:
    (x1, y1), (x2, y2) = plan.place(*link["a"]), plan.place(*link["b"])
    failed = link["name"] in plan.failed
    provider = plan.providers.index(str(link["provider"])) % 4
    return tag(
        "line",
        tag("title", f"{link['name']}, hit by a fault") if failed else None,
        x1=percent(x1),
        y1=percent(y1),
        x2=percent(x2),
        y2=percent(y2),
        class_="link failed" if failed else f"link provider-{provider}",
    )


def _node(plan: Map, node: Mapping[str, Any]) -> Markup:
    x, y = plan.place(node["x"], node["y"])
    return tag("circle", cx=percent(x), cy=percent(y), r=1.8, class_="node")


def _site(plan: Map, site: Mapping[str, Any]) -> Markup:
    x, y = plan.place(site["x"], site["y"])
    failed, hub = _rank(plan, site)
    said = f"{site['name']}{', hub' if hub else ''}{', hit by a fault' if failed else ''}"
    place = {"cx": percent(x), "cy": percent(y)}
    ring = tag("circle", **place, r=9, class_="ring") if failed else None
    size = 6.0 if hub else 4.0 if len(plan.sites) <= 200 else 2.5
    dot = tag("circle", tag("title", said), **place, r=size, class_="hub" if hub else "site")
    return join(ring, dot)


def _names(
    plan: Map, sites: Sequence[Mapping[str, Any]], width: float, most: int, class_: str
) -> Iterator[Markup]:
    """Give the names that fit beside their sites; the important ones choose first."""
    places = [plan.place(site["x"], site["y"]) for site in sites]
    lines = [(plan.place(*k["a"]), plan.place(*k["b"])) for k in plan.links[:LINKS]]
    lettering = Lettering(width, width * plan.ratio, places, lines)
    for site in sites:
        important = any(_rank(plan, site))
        if not important and len(sites) > most:
            break
        name, (x, y) = str(site["name"]), plan.place(site["x"], site["y"])
        if beside := lettering.find(name, x, y, important=important):
            yield tag(
                "text", name, x=percent(x), y=percent(y), dx=beside.dx, dy=beside.dy,
                text_anchor=beside.anchor, class_=f"{class_} marked" if important else class_,
            )  # fmt: skip


def _legend(plan: Map) -> Markup:
    keys = [_key("site", "site")]
    if any(site.get("hub") for site in plan.sites):
        keys.append(_key("hub", "hub"))
    if plan.failed_sites:
        keys.append(_key("ring", "site hit by a fault, itself or in its access"))
    if plan.nodes:
        keys.append(_key("node", "place of a provider"))
    keys += [_line_key(f"link provider-{i % 4}", name) for i, name in enumerate(plan.providers)]
    if any(link["name"] in plan.failed for link in plan.links):
        keys.append(_line_key("link failed", "link hit by a fault"))
    return tag("p", keys, class_="legend")


_KEY_SIZE = {"ring": 7.0, "node": 1.8}


def _key(class_: str, text: str) -> Markup:
    dot = tag("circle", cx=9, cy=9, r=_KEY_SIZE.get(class_, 5.0), class_=class_)
    return tag("span", tag("svg", dot, width=18, height=18, aria_hidden="true"), text, class_="key")


def _line_key(class_: str, text: str) -> Markup:
    line = tag("line", x1=1, y1=9, x2=25, y2=9, class_=class_)
    drawn = tag("svg", line, width=26, height=18, aria_hidden="true")
    return tag("span", drawn, text, class_="key")

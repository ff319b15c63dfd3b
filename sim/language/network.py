"""Declares the part of the language about sites, transports and the wires between."""

from typing import Final

from patronus.engine.policy import PROFILES
from patronus.sim.language import names
from patronus.sim.language.profiles import SHIPPED
from patronus.sim.language.quantities import DURATION, PERIOD, RATE, SHARE, SIZE, SOME
from patronus.sim.language.records import Field, Rec, Record
from patronus.sim.language.shapes import Either, ListOf, MapOf, Reading
from patronus.sim.language.values import (
    NOTHING,
    SWITCH,
    choice,
    decimal,
    file_name,
    text,
    whole,
)
from patronus.sim.scenario import Mesh

SITES_MOST: Final = 10_000

BURST: Final = Record(
    "burst", "Bursty loss (Gilbert-Elliott): good and bad periods of exponential length.",
    Field("gap", PERIOD, "Mean length of a good period.", "gap_ns", required=True),
    Field("length", PERIOD, "Mean length of a bad period.", "length_ns", required=True),
    Field("loss", SOME, "Loss during a bad period.", "loss_ppm", required=True),
)  # fmt: skip

MTU: Final = Either(whole("a packet size in bytes (68 to 65535)", 68, 65_535), SIZE)

LINE: Final = Record(
    "link", "How one direction of a link treats packets; what is left out is the profile's.",
    Field("delay", DURATION, "One-way delay.", "delay_ns"),
    Field("jitter", DURATION, "Bound of the noise added to the delay.", "jitter_ns"),
    Field("loss", SHARE, "Independent (Bernoulli) loss.", "loss_ppm"),
    Field("burst", Either(choice("burst", {"none": None}), BURST),
          "Bursty loss, or `none` to remove the profile's.", "burst"),
    Field("rate", RATE, "Capacity.", "rate_bps"),
    Field("buffer", DURATION, "Longest queueing delay; packets beyond it are dropped.",
          "buffer_ns"),
    Field("mtu", MTU, "Largest IP packet, in bytes.", "mtu"),
)  # fmt: skip

LIVENESS: Final = Either(
    choice("liveness profile", PROFILES),
    Record(
        "liveness", "How a tunnel is probed and when silence means down.",
        Field("interval", PERIOD, "Time between probes.", required=True),
        Field("multiplier", whole("a number of intervals from 1 to 10", 1, 10),
              "Silent intervals after which the tunnel is down.", required=True),
    ),
)  # fmt: skip

_SHIPPED: Final = choice("shipped profile", {name: name for name in SHIPPED})

TRANSPORT: Final = Record(
    "transport", "One transport: every site's access link to it, and its carrier.",
    Field("profile", _SHIPPED, "Shipped profile to begin with; if left out, the transport's name "
          "must be one."),
    Field("provider", text("ring, mesh, star or geo (also with a size, ring:12), map:NAME or "
                           "topohub:NAME", r"^[^\s]{1,128}$", "map:abilene"),
          "The carrier's graph: a map or a generated shape.", "provider"),
    Field("liveness", LIVENESS, "How tunnels over it are probed."),
    Field("cost", whole("a cost from 0 to 1000000", 0, 10**6), "Lower is cheaper.", default="0"),
    Field("access", LINE, "Changes to the access link, both directions."),
    Field("up", LINE, "Changes to the access link out of a site."),
    Field("down", LINE, "Changes to the access link into a site."),
    Field("core", LINE, "Changes to the carrier's links (their delay comes from distances)."),
    Field("reroute", DURATION, "How long the carrier takes to route around a failed link.",
          "reroute_ns"),
)  # fmt: skip

TRANSPORTS: Final = Either(
    ListOf(_SHIPPED, "a list of shipped profiles", least=1),
    MapOf(names.SHORT, Either(NOTHING, _SHIPPED, TRANSPORT), "a mapping from names to profiles"),
)


def _on_earth(rec: Rec, reading: Reading) -> None:
    at = rec.get("at", ())
    if len(at) == 2 and abs(at[0]) > 90:
        reading.wrong(rec.mark("at"), f"latitude {at[0]:g} is beyond the poles",
                      "[latitude, longitude] in degrees", "the latitude comes first")  # fmt: skip


SITE: Final = Record(
    "site", "One site.",
    Field("name", names.NAME, "Unique name.", "name", required=True),
    Field("at", ListOf(decimal("a number of degrees", -180, 180), "[latitude, longitude]", 2, 2),
          "Latitude and longitude in degrees."),
    Field("hub", SWITCH, "Whether the site is a hub.", "hub", default="off"),
    Field("region", names.NAME, "Region, for the mesh regional-hubs.", "region"),
    Field("transports", names.TRANSPORTS, "Transports the site is attached to; all of them if left "
          "out.", "transports"),
    check=_on_earth,
)  # fmt: skip

DELAY: Final = Record(
    "delay", "A measured one-way delay; the opposite direction is an entry of its own.",
    Field("from", names.SITE, "Sending site.", required=True),
    Field("to", names.SITE, "Receiving site.", required=True),
    Field("transport", names.TRANSPORT, "Transport; all of them if left out."),
    Field("delay", DURATION, "One-way delay.", required=True),
)  # fmt: skip


_TABLE: Final = file_name("a .csv file", ".csv")

TOPOLOGY: Final = Record(
    "topology", "Sites, where they are, and which pairs have tunnels.",
    Field("mesh", choice("mesh", {str(m): m for m in Mesh}), "Which pairs of sites have tunnels.",
          "mesh", default="full-mesh"),
    Field("sites",
          Either(whole("a number of sites (an overlay needs two)", 2, SITES_MOST),
                 ListOf(Either(names.NAME, SITE), "a list of two sites or more", 2, SITES_MOST),
                 _TABLE),
          "How many sites, or which: names, {name, at, hub, region, transports}, or a CSV file "
          "with the columns name, lat, lon, hub, region, transports."),
    Field("hubs", Either(whole("a number of hubs", 0, SITES_MOST),
                         ListOf(names.SITE, "a list of listed sites", 1)),
          "How many of the first sites are hubs, or which of the listed ones.", default="0"),
    Field("map", text("topohub:NAME or a shipped map", r"^[^\s]{1,128}$", "abilene"),
          "Put the sites on the nodes of a map.", "map"),
    Field("regions", whole("a number of regions", 1, SITES_MOST),
          "Regions of generated sites, for the mesh regional-hubs.", "regions", default="1"),
    Field("degree", whole("a number of neighbours, 2 or more", 2, SITES_MOST),
          "Mean number of neighbours in a partial mesh.", "degree", default="4"),
    Field("pairs", ListOf(ListOf(names.SITE, "[site, site]", 2, 2), "a list of pairs of sites", 1),
          "The pairs that have tunnels, for the mesh pairs.", "pairs"),
    Field("delays", Either(ListOf(DELAY, "a list of delays"), _TABLE),
          "One-way delays that replace the carrier's: a list, or a CSV file with the columns "
          "from, to, transport, ms."),
    Field("transit", ListOf(names.SITE, "a site or a list of sites", 1, single=True),
          "Sites that may carry others' traffic; the hubs if left out.", "transit"),
)  # fmt: skip

GROUPS: Final = MapOf(names.NAME, names.LINKS, "a mapping from groups to their links")

DESTINATIONS: Final = MapOf(
    names.NAME,
    ListOf(names.SITE, "sites in order of preference", 1, single=True),
    "a mapping from destinations to the sites that announce them",
)

TRAFFIC: Final = Record(
    "traffic", "Constant offered load of one class.",
    Field("class", names.CLASS, "Traffic class.", required=True),
    Field("from", names.SITES, "Sending sites: names, patterns, all, hubs, spokes.", required=True),
    Field("to", names.TARGETS, "Destinations: the same words, and names of destinations.",
          required=True),
    Field("rate", RATE, "Offered load of each pair, each way.", "rate_bps", required=True),
    Field("packet", SIZE, "Packet size.", "packet_bytes", default="1000B"),
    Field("both_ways", SWITCH, "Whether the destination sends as much back.", "both_ways",
          default="on"),
    Field("peers", whole("a number of peers", 0, SITES_MOST),
          "Each source sends to so many destinations, chosen by luck; 0: to all.", "peers",
          default="0"),
)  # fmt: skip

CONTROL: Final = Record(
    "control", "The path of announcements between sites.",
    Field("delay", DURATION, "One-way delay.", "delay_ns", default="50ms"),
    Field("jitter", DURATION, "Bound of the noise added to it.", "jitter_ns", default="10ms"),
)  # fmt: skip

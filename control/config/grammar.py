"""The whole of ``agent.yml``: its records, and the JSON Schema made from them."""

from typing import Any, Final

from patronus.control.config.bfd import BFD
from patronus.control.config.model import Kind, Mode, Pacing, Role
from patronus.control.config.values import (
    FILE,
    FOLDER,
    GATEWAY,
    INTERFACE,
    KEY,
    LISTENING,
    OWN_ADDRESS,
    PLACE,
    PORT,
    SEED,
)
from patronus.sim.language import names
from patronus.sim.language.network import LIVENESS
from patronus.sim.language.policy import CLASSES, POLICY_OR_FILE, PREFIX, VERSION
from patronus.sim.language.quantities import DURATION, PERIOD, VOLUME, worded
from patronus.sim.language.records import Field, Record, schema_of
from patronus.sim.language.shapes import Either, Json, ListOf, MapOf
from patronus.sim.language.tree import Kind as Sort
from patronus.sim.language.values import SWITCH, Unfit, Value, choice, whole

MTU_LEAST: Final = 576
"""What every IPv4 host must take whole (RFC 791 section 3.1)."""

PREFIXES_MOST: Final = 1000
PEERS_MOST: Final = 1000

LOGS: Final = ("debug", "info", "warning", "error")


def _off(given: str) -> Any:
    if given.lower() not in ("off", "false"):
        raise Unfit("this is on already", "leave it out, or write what is to be changed")
    return None


OFF: Final = Value("off", frozenset({Sort.TEXT, Sort.SWITCH}), {"enum": [False, "off"]}, _off)

_GROUPS: Final = ListOf(names.NAME, "a group or a list of them", 1, single=True)
_PREFIXES: Final = ListOf(PREFIX, "a prefix or a list of them", 0, PREFIXES_MOST, single=True)
_ROLE: Final = choice("role", {str(role): role for role in Role})

TRANSPORT: Final = Record(
    "transport", "This site's attachment to one underlay.",
    Field("interface", INTERFACE, "Interface towards it.", "interface", required=True),
    Field("address", OWN_ADDRESS, "Our address there, or dhcp: the one that the interface has.",
          "address", default="dhcp"),
    Field("gateway", GATEWAY, "Next hop there, or auto: that of the interface's own default route.",
          "gateway", default="auto"),
    Field("kind", choice("kind of tunnel", {str(kind): kind for kind in Kind}),
          "What its tunnels are made of.", "kind", default="wireguard"),
    Field("port", PORT, "UDP port of its tunnels, at both ends if the peer names no other.", "port",
          default="51820"),
    Field("liveness", LIVENESS, "How tunnels over it are probed.", default="wan"),
    Field("cost", whole("a cost from 0 to 1000000", 0, 10**6), "Lower is cheaper.", "cost",
          default="0"),
    Field("groups", _GROUPS, "Shared-risk groups that all tunnels over it cross.", "groups"),
    Field("mtu", whole("an MTU from 576 to 65535", MTU_LEAST, 65_535),
          "Largest IP packet that it carries; found out if left out.", "mtu"),
    Field("proofs", PERIOD,
          "Interval of authenticated probes beside plain and VXLAN tunnels; none if left out.",
          "proofs_ns"),
    Field("next_port", PORT, "UDP port of its next WireGuard key; the two take turns.", "next_port",
          default="port + 100"),
)  # fmt: skip

LAN_INTERFACE: Final = Record(
    "lan_interface", "An interface towards the site's own network.",
    Field("name", INTERFACE, "Its name.", "name", required=True),
    Field("vlan", whole("a VLAN from 1 to 4094", 1, 4094), "VLAN tag of its traffic.", "vlan"),
)  # fmt: skip

LAN: Final = Record(
    "lan", "The site's own network.",
    Field("interfaces", ListOf(Either(INTERFACE, LAN_INTERFACE), "an interface or a list of them",
                               1, 64, single=True),
          "Interfaces from which traffic is steered.", required=True),
    Field("prefixes", _PREFIXES, "Prefixes behind them, announced to the peers.", "prefixes"),
)  # fmt: skip

ENDPOINT: Final = Record(
    "endpoint", "Where a peer is found over one transport.",
    Field("address", PLACE, "Address and port, or learned: from the peer's own packets.",
          required=True),
    Field("groups", _GROUPS, "Shared-risk groups at that end.", "groups"),
)  # fmt: skip

PEER: Final = Record(
    "peer", "Another site.",
    Field("key", KEY, "Its public identity key (Ed25519), base64.", "key", required=True),
    Field("role", _ROLE, "What it is to the others: spoke, transit or hub.", "role",
          default="spoke"),
    Field("endpoints", MapOf(names.TRANSPORT, Either(PLACE, ENDPOINT),
                             "a mapping from transports to addresses"),
          "Where it is found, by transport: one tunnel each. Without any, others lead to it."),
    Field("prefixes", _PREFIXES, "Prefixes of its own network.", "prefixes"),
    Field("psk", FILE, "File with the key that we share with it.", "psk"),
)  # fmt: skip

DESTINATION: Final = Record(
    "destination", "Prefixes that several sites announce.",
    Field("sites", ListOf(names.SITE, "sites in order of preference", 1, single=True),
          "Sites that lead there, in order of preference.", "sites", required=True),
    Field("prefixes", ListOf(PREFIX, "a prefix or a list of them", 1, PREFIXES_MOST, single=True),
          "Prefixes that are found there.", "prefixes", required=True),
)  # fmt: skip

DATAPLANE: Final = Record(
    "dataplane", "How packets are handled in the kernel.",
    Field("mode", choice("mode", {str(mode): mode for mode in Mode}),
          "Redirect packets into tunnels, or mark them and let the kernel forward.", "mode",
          default="redirect"),
    Field("accept_firewall_bypass", SWITCH,
          "Redirected packets pass no forward or NAT rule: accept that where there are such rules.",
          "firewall_bypass", default="off"),
    Field("fallback", SWITCH, "Without BPF, run on next-hop objects instead of refusing to start.",
          "fallback", default="on"),
    Field("probes", choice("sender of probes", {str(pacing): pacing for pacing in Pacing}),
          "Who sends probes where there is BPF: the kernel; a `sender` process cannot.", "probes",
          default="kernel"),
    Field("drain", DURATION,
          "How long pinned flows may stay on a drained tunnel, waiting for a gap.", "drain_ns",
          default="60s"),
)  # fmt: skip

METRICS: Final = Record(
    "metrics", "Where Prometheus may ask.",
    Field("address", LISTENING, "Address to listen on.", "address", default="127.0.0.1"),
    Field("port", PORT, "Port.", "port", default="9464"),
    Field("expose", SWITCH, "Let other machines ask, too.", default="off"),
)  # fmt: skip

RECORD: Final = Record(
    "record", "The recording of the engine's inputs, for replay.",
    Field("size", VOLUME, "Largest file; then the next one begins.", "max_bytes", default="64MB"),
    Field("keep", whole("a number of files from 2 to 1000", 2, 1000),
          "Files kept, the one being written included.", "keep", default="4"),
)  # fmt: skip

AGENT: Final = Record(
    "agent", "One site's agent.",
    Field("version", VERSION, "Version of the language; always 1.", required=True),
    Field("extends", names.PROSE, "A file that this one changes (mappings merge, lists replace)."),
    Field("site", names.NAME, "Name of this site; the same at all peers.", "site", required=True),
    Field("role", _ROLE, "What it is to the others: spoke, transit or hub.", "role",
          default="spoke"),
    Field("identity", FILE, "File with the private identity key.", default="STATE/identity.key"),
    Field("state", FOLDER, "Folder for what must outlive a restart.", default="/var/lib/patronus"),
    Field("run", FOLDER, "Folder of the control socket.", default="/run/patronus"),
    Field("transports", MapOf(names.SHORT, TRANSPORT, "a mapping from names to transports"),
          "The site's attachments to underlays.", required=True),
    Field("lan", LAN, "The site's own network.", required=True),
    Field("peers", MapOf(names.NAME, PEER, "a mapping from names to peers"),
          "The other sites, each with its pinned key."),
    Field("seeds", ListOf(SEED, "an address with port, or a list of them", 1, 64, single=True),
          "Where a new site asks for its peers.", "seeds"),
    Field("enrolment", KEY, "Public key whose signature lets other sites in.", "enrolment"),
    Field("destinations", MapOf(names.NAME, DESTINATION, "a mapping from names to destinations"),
          "Prefixes that several sites announce, such as a default route at two hubs."),
    Field("classes", CLASSES, "Traffic classes, laid over those of the policy."),
    Field("policy", POLICY_OR_FILE, "Timers, margins, damping, features; or a file with them."),
    Field("bfd", MapOf(names.NAME, BFD, "a mapping from names to neighbours"),
          "Routers that are not ours, which speak BFD with us."),
    Field("dataplane", DATAPLANE, "How packets are handled in the kernel."),
    Field("rotate_every", worded("an age such as 24h, or off", {"off": None}, PERIOD),
          "Age at which WireGuard keys are replaced, or off: when somebody asks for it.",
          "rotate_every_ns", default="off"),
    Field("metrics", Either(OFF, METRICS), "Where Prometheus may ask, or off."),
    Field("record", Either(OFF, RECORD), "The recording of the engine's inputs, or off."),
    Field("log", choice("level", {level: level for level in LOGS}), "How much is told.", "log",
          default="info"),
)  # fmt: skip


def schema() -> Json:
    """Return the JSON Schema (2020-12) of ``agent.yml``, for editors and other tools."""
    return schema_of(AGENT, "Patronus agent")

"""Declares the part of the language about classes, SLAs, timers and features."""

import re
from typing import Final

from patronus.engine.policy import WhenNone
from patronus.sim.language import names
from patronus.sim.language.mistakes import quoted
from patronus.sim.language.network import LIVENESS, MTU
from patronus.sim.language.quantities import DURATION, PERIOD, SHARE
from patronus.sim.language.records import Field, Rec, Record
from patronus.sim.language.shapes import Either, ListOf, MapOf, Reading
from patronus.sim.language.tree import Kind
from patronus.sim.language.values import (
    SWITCH,
    TEXT,
    Unfit,
    Value,
    choice,
    decimal,
    file_name,
    whole,
)

VERSION: Final = whole("1, the version of the language", 1, 1)

CODECS: Final = ("g711", "g711-noplc", "g729", "g723.1", "gsm-efr", "opus")
"""As in ``patronus.engine.mos``, which is not imported since it brings NumPy."""

DSCP: Final = {
    "be": 0, "le": 1, "ef": 46, "va": 44,
    **{f"cs{n}": 8 * n for n in range(8)},
    **{f"af{n}{p}": 8 * n + 2 * p for n in range(1, 5) for p in range(1, 4)},
}  # fmt: skip
"""Code points of RFC 2474, 2597, 3246, 5865 and 8622."""

PROTOCOLS: Final = {"icmp": 1, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "icmpv6": 58, "sctp": 132}


def _ports(given: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", given)
    if not match:
        raise Unfit(f"{quoted(given)} is not a port")
    low, high = int(match[1]), int(match[2] or match[1])
    if max(low, high) > 65_535:
        raise Unfit(f"port {max(low, high)} is above 65535")
    if low > high:
        raise Unfit("the range runs backwards", f"write `{high}-{low}`")
    return low, high


def _prefix(given: str) -> str:
    from ipaddress import ip_network  # few scenarios match by prefix

    try:
        return str(ip_network(given))
    except ValueError as error:
        raise Unfit(str(error), _masked(given)) from None


def _masked(given: str) -> str:
    from ipaddress import ip_network

    try:
        return f"write `{ip_network(given, strict=False)}`"
    except ValueError:
        return ""


_PORTS: Final = Value(
    "a port such as 443 or a range such as 16384-32767", TEXT | {Kind.INTEGER},
    {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 65_535},
               {"type": "string", "pattern": "^[0-9]{1,5}(-[0-9]{1,5})?$"}]}, _ports,
)  # fmt: skip
PREFIX: Final = Value(
    "a prefix such as 10.1.0.0/16", TEXT,
    {"type": "string", "pattern": "^[0-9A-Fa-f.:]{2,45}(/[0-9]{1,3})?$"}, _prefix,
)  # fmt: skip
_POINT: Final = Either(whole("a code point from 0 to 63", 0, 63), choice("code point", DSCP))

MATCH: Final = Record(
    "match", "One way of recognising traffic; all that is given must hold.",
    Field("dscp", ListOf(_POINT, "a code point or a list of them", 1, single=True),
          "DSCP by number or name (ef, af41, cs1 …)."),
    Field("protocol", Either(whole("a protocol number", 0, 255), choice("protocol", PROTOCOLS)),
          "IP protocol by number or name.", "protocol"),
    Field("ports", ListOf(_PORTS, "a port, a range, or a list of them", 1, single=True),
          "Ports or ranges of ports, of either end.", "ports"),
    Field("prefixes", ListOf(PREFIX, "a prefix or a list of them", 1, single=True),
          "Destination prefixes.", "prefixes"),
)  # fmt: skip

SLA: Final = Record(
    "sla", "The limits a class of traffic lives with.",
    Field("latency", PERIOD, "Largest round-trip time.", "latency_ns"),
    Field("jitter", PERIOD, "Largest interarrival jitter (RFC 3550).", "jitter_ns"),
    Field("loss", SHARE, "Largest loss.", "loss_ppm"),
    Field("mos", decimal("a mean opinion score from 1 to 5", 1, 5, 1000),
          "Smallest mean opinion score (ITU-T G.107).", "mos_milli"),
    Field("mtu", MTU, "Smallest MTU: the largest packet that a path must carry.", "mtu"),
    Field("codec", choice("codec", {name: name for name in CODECS}),
          "Codec whose sensitivity to loss the score assumes.", "codec", default="g711"),
)  # fmt: skip


def _prefers_forbidden(rec: Rec, reading: Reading) -> None:
    both = [name for name in rec.get("prefer", ()) if name in rec.get("forbid", ())]
    if both:
        reading.wrong(rec.mark("prefer"), f"`{both[0]}` is both preferred and forbidden",
                      "a transport in one of the two lists")  # fmt: skip


CLASS: Final = Record(
    "class", "A kind of traffic: how it is recognised, what it needs, what it prefers.",
    Field("match", ListOf(MATCH, "a match or a list of them", 1, single=True),
          "Alternatives; a class without any takes all that no other class takes."),
    Field("sla", SLA, "Its limits."),
    Field("prefer", names.TRANSPORTS, "Transports in order of preference; others come after.",
          "prefer"),
    Field("forbid", names.TRANSPORTS, "Transports it never uses."),
    Field("when_none", choice("behaviour", {str(w): w for w in WhenNone}),
          "When no path complies: take the best, stay where it is, or drop.", "when_none",
          default="best"),
    Field("share", MapOf(names.TRANSPORT, whole("a weight from 1 to 1000", 1, 1000),
                         "a mapping from transports to weights"),
          "Weights for sharing over equally good paths."),
    Field("pin", SWITCH, "On a router each flow stays on the tunnel that it began on.",
          default="off"),
    check=_prefers_forbidden,
)  # fmt: skip

CLASSES: Final = MapOf(names.SHORT, CLASS, "a mapping from classes to their rules")


def _feature(name: str, doc: str) -> Field:
    return Field(name, SWITCH, doc, name, default="on")


FEATURES: Final = Record(
    "features", "Parts of the engine that a study can switch off.",
    _feature("backups", "Backups are computed beforehand."),
    _feature("brownout", "The sequential test for loss and steps of delay."),
    _feature("damping", "Hold-down after flaps."),
    _feature("hysteresis", "A rival must be better by a margin."),
    _feature("transit", "Paths through other sites."),
    _feature("adaptive_multiplier", "Lossy tunnels get a longer detect time."),
    _feature("kernel_failover", "The dataplane leaves a stale tunnel by itself."),
    _feature("sla", "SLA verdicts decide; off: only liveness does."),
)  # fmt: skip


def _holds(rec: Rec, reading: Reading) -> None:
    if {"hold", "max"} <= rec.values.keys() and rec.get("max") < rec.get("hold"):
        reading.wrong(rec.mark("max"), "the longest hold is shorter than the first one",
                      "`max` not below `hold`")  # fmt: skip


DAMPING: Final = Record(
    "damping", "How long a tunnel that came back must prove itself.",
    Field("hold", DURATION, "Hold after the first flap; doubled for each remembered one.",
          "hold_ns", default="2s"),
    Field("max", DURATION, "Longest hold.", "hold_max_ns", default="60s"),
    Field("decay", PERIOD, "One flap is forgotten after each such time of being up.", "decay_ns",
          default="60s"),
    check=_holds,
)  # fmt: skip

MARGIN: Final = Record(
    "margin", "By how much a rival must be better.",
    Field("share", SHARE, "By this share of the smoothed metric …", "margin_ppm", default="10%"),
    Field("at_least", DURATION, "… and at least by this much.", "margin_ns", default="2ms"),
)  # fmt: skip

POLICY: Final = Record(
    "policy", "What is configured for the overlay, the same at every site.",
    Field("version", VERSION, "Version of the language."),
    Field("extends", names.PROSE, "A policy file that this one changes."),
    Field("evaluation", PERIOD, "Scores are compared once per this long.", "evaluation_ns",
          default="1s"),
    Field("margin", Either(SHARE, MARGIN), "By how much a rival must be better."),
    Field("damping", DAMPING, "Fast down, slow up."),
    Field("loss_window", whole("a number of evaluations from 1 to 1000", 1, 1000),
          "Loss is judged over so many evaluations.", "loss_window", default="10"),
    Field("stale", PERIOD, "Health without a sample for this long is unknown.", "stale_ns",
          default="3s"),
    Field("kernel_hold", DURATION,
          "Unbroken confirmation after which the kernel clears a down latch alone.",
          "kernel_hold_ns", default="10s"),
    Field("announcement", PERIOD, "Unchanged announcements are repeated this often.",
          "announcement_ns", default="1s"),
    Field("features", FEATURES, "Parts of the engine to switch off."),
    Field("liveness",
          MapOf(names.TRANSPORT, LIVENESS, "a mapping from transports to liveness profiles"),
          "Liveness by transport; stronger than what the transport says."),
    Field("cost", MapOf(names.TRANSPORT, whole("a cost from 0 to 1000000", 0, 10**6),
                        "a mapping from transports to costs"),
          "Cost by transport; stronger than what the transport says."),
    Field("classes", CLASSES, "Traffic classes, for policies that several scenarios share."),
)  # fmt: skip

POLICY_OR_FILE: Final = Either(POLICY, file_name("a .yml file", ".yml", ".yaml"))

"""How numbers read in the report: in the unit a person would say, missing ones as missing."""

from collections.abc import Mapping
from typing import Final

from patronus.engine.units import MINUTE, MS, NEVER, PPM, SECOND

MISSING: Final = "not measured"

_GAP: Final = "\u00a0"
"""A number and its unit stay on one line."""

_RATES: Final = ((10**9, "Gbit/s"), (10**6, "Mbit/s"), (10**3, "kbit/s"))

_FAULTS: Final[Mapping[str, str]] = {
    "link-down": "Link down",
    "blackhole": "Packets vanish silently",
    "loss": "Random packet loss",
    "burst-loss": "Packet loss in bursts",
    "delay": "Longer delay",
    "jitter": "Unsteady delay",
    "corruption": "Damaged packets",
    "duplication": "Duplicated packets",
    "reordering": "Packets out of order",
    "rate": "Less bandwidth",
    "flapping": "Link goes up and down",
    "shared-risk-cut": "One cut takes several links",
    "provider-outage": "Provider outage",
    "site-crash": "Site crash",
    "agent-kill": "Site agent killed",
    "agent-pause": "Site agent paused",
    "controller-partition": "Controller cut off",
    "clock-jump": "Clock jump",
    "mtu-blackhole": "Large packets vanish",
    "drain": "Planned drain",
    "half-applied-config": "Half-applied configuration",
    "rekey-storm": "Rekey storm",
    "lan-down": "LAN behind a site down",
}


_REASONS: Final[Mapping[str, str]] = {
    "start": "Start",
    "liveness_down": "Tunnel silent",
    "carrier_lost": "Carrier lost",
    "brownout": "Brownout",
    "sla_violated": "SLA violated",
    "mtu_lowered": "Packets too large",
    "better_path": "Better path",
    "returned": "Path came back",
    "withdrawn": "Destination withdrawn",
    "transit_lost": "Site in between cut off",
    "drained": "Taken out of service",
    "undrained": "Back in service",
    "no_path": "No path left",
    "kernel_moved": "Kernel had moved",
    "policy_changed": "Policy changed",
    "backups_changed": "New backups only",
}

_QUANTITIES: Final[Mapping[str, str]] = {
    "owd": "one-way delay",
    "owd_spread": "spread of the one-way delay",
    "rtt": "round-trip time",
    "largest": "largest packet that passes",
    "delivered": "rate that passes",
    "clock": "step of the clock",
    "corrupted": "damaged packets",
    "duplicated": "duplicated packets",
    "reordered": "overtaken packets",
}


def duration(ns: int) -> str:
    """Return a duration with about three digits; ``NEVER`` is "never"."""
    if ns == NEVER:
        return "never"
    size = abs(ns)
    if size < SECOND:
        places = 0 if size == 0 or size >= 100 * MS else 1 if size >= 10 * MS else 2
        return f"{_trim(ns / MS, places)}{_GAP}ms"
    if size < 2 * MINUTE:
        return f"{_trim(ns / SECOND, 2 if size < 10 * SECOND else 1)}{_GAP}s"
    minutes, seconds = divmod(round(ns / SECOND), 60)
    return f"{minutes}{_GAP}min {seconds}{_GAP}s" if seconds else f"{minutes}{_GAP}min"


def moment(ns: int) -> str:
    """Return a time of the scenario; ``NEVER`` is its end."""
    return "the end" if ns == NEVER else f"{_trim(ns / SECOND, 3)}{_GAP}s"


def count(number: int) -> str:
    """Return a whole number with separated thousands."""
    return f"{number:,}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return "1 site" or "1,000 sites"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def share(part: int, whole: int) -> str:
    """Return a part of a whole as a percentage; nothing of nothing is missing."""
    if whole <= 0:
        return MISSING
    return ppm(round(part * PPM / whole)) if part else f"0{_GAP}%"


def ppm(parts: int) -> str:
    """Return parts per million as a percentage."""
    per_cent = parts * 100 / PPM
    places = 0 if per_cent >= 99.995 else 1 if per_cent >= 10 else 2 if per_cent >= 0.1 else 4
    return f"{_trim(per_cent, places)}{_GAP}%"


def quantity(name: str, value: int) -> str:
    """Return the value of a named quantity, whose unit ends its name (``loss_ppm``)."""
    if value == -1:
        return MISSING
    unit = name.rsplit("_", 1)[-1]
    if unit == "ns":
        return duration(value)
    if unit == "ppm":
        return ppm(value)
    if unit == "bps":
        return rate(value)
    if unit == "bytes":
        return f"{value:,}{_GAP}bytes"
    return f"{value:,}"


def rate(bps: int) -> str:
    """Return a bit rate."""
    for size, unit in _RATES:
        if bps >= size:
            return f"{_trim(bps / size, 1)}{_GAP}{unit}"
    return f"{bps}{_GAP}bit/s"


def quantity_name(name: str) -> str:
    """Return what is measured in words: ``loss_ppm`` is "loss"."""
    stem, _, unit = name.rpartition("_")
    words = stem if unit in {"ns", "ppm", "bps", "bytes", "count", "milli"} and stem else name
    return _QUANTITIES.get(words, words.replace("_", " "))


def fault_kind(kind: str) -> str:
    """Return what a kind of fault means to somebody who has never seen the tool."""
    return _FAULTS.get(kind, kind.replace("-", " ").capitalize())


def reason(name: str) -> str:
    """Return why the engine decided, in words."""
    return _REASONS.get(name, name.replace("_", " ").capitalize())


def path(label: str, destination: str) -> str:
    """Return a path label (``mpls>frankfurt>berlin``) in words, its end only if unexpected."""
    if not label:
        return "no path"
    transport, *hops = label.split(">")
    via = "".join(f" via {hop}" for hop in hops[:-1])
    end = "" if hops[-1:] == [destination] else "".join(f" to {hop}" for hop in hops[-1:])
    return f"{transport}{via}{end}"


def _trim(number: float, places: int) -> str:
    text = f"{number:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text

"""Decisions and numbers in words, for the terminal."""

from collections.abc import Mapping
from typing import Any, Final

from patronus.engine.liveness import State
from patronus.engine.units import MS, NEVER, SECOND

_VERDICTS: Final = ("compliant", "unknown", "violating", "outage")

REASONS: Final = {
    "start": "its first path",
    "liveness_down": "the tunnel fell silent",
    "carrier_lost": "the link lost its carrier",
    "brownout": "loss or delay rose",
    "sla_violated": "the path broke the SLA of the class",
    "better_path": "another path is better by more than the margin",
    "returned": "a preferred path is back",
    "withdrawn": "the site at the end does not announce the destination any more",
    "transit_lost": "the site between does not reach the destination any more",
    "mtu_lowered": "the path carries too small packets for it",
    "drained": "the path is drained",
    "undrained": "the drain is over",
    "no_path": "no path is left",
    "kernel_moved": "the kernel had moved the packets already",
    "policy_changed": "the policy changed",
    "backups_changed": "the backups behind the path changed",
}
"""Each reason of the journal in words."""


def clock(at_ns: int) -> str:
    """Return a time of the scenario to the microsecond."""
    sign, size = ("-" if at_ns < 0 else ""), abs(at_ns)
    return f"{sign}{size // SECOND}.{size % SECOND // 1000:06d} s"


def path(name: str) -> str:
    """Return a path's name, which may be none."""
    return name or "no path"


def decided(row: Mapping[str, Any]) -> str:
    """Return a row of the decisions in one line."""
    who = f"{row['site']} to {row['destination']}, {row['class']}"
    return (
        f"{clock(row['t_ns'])}  {who}: {path(row['from'])} -> {path(row['to'])} ({row['reason']})"
    )


def number(name: str, value: int) -> str:
    """Return a number of the journal with the unit that its name ends in."""
    if name.endswith("_state"):
        return State(value).name.lower()
    if name.endswith("_verdict"):
        return _VERDICTS[value]
    if value == -1:
        return "unknown"
    if name.endswith("_ns"):
        return "never" if value == NEVER else f"{value / MS:,.3f} ms"
    if name.endswith("_ppm"):
        return f"{value / 10_000:.4g} %"
    return f"{value:,}"

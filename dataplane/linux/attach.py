"""Filters on devices: ours are attached, found again, and taken off; others stay.

Each program is a tc filter with direct action below the device's clsact qdisc, at a
preference of its own and under a name that begins with ours. What it does not redirect or
drop goes on to the next filter. A clsact qdisc that we made is left behind: others may use
it by now. Everything happens in the network namespace of the calling thread.
"""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from patronus.dataplane import traffic
from patronus.dataplane.traffic import BpfFilter

PREFERENCE: Final[Mapping[str, int]] = MappingProxyType(
    {
        "tunnel_ether": 49_000, "tunnel_ip": 49_000, "turn": 49_000, "launch": 49_000,
        "steer_lan": 49_001, "steer_out": 49_001,
    }
)  # fmt: skip
"""Arrival before steering, where one device is both. Filters that tc numbers by itself come
before ours if they are added later, and are asked first."""

OURS: Final = "patronus/"
"""Names of our filters begin so."""


class Hook(IntEnum):
    """Where a filter sits: the parent in tc's numbering."""

    INGRESS = 0xFFFFFFF2
    EGRESS = 0xFFFFFFF3


class Filter(NamedTuple):
    """One of our filters."""

    ifindex: int
    hook: Hook
    program: str


def attach(where: Filter, descriptor: int) -> None:
    """Attach a program, in one step in place of the one of ours that is there.

    Raises:
        OSError: the device is gone, or the kernel refuses.
    """
    traffic.add_clsact(where.ifindex)
    which = BpfFilter(PREFERENCE[where.program], OURS + where.program)
    traffic.set_filter(where.ifindex, where.hook, which, descriptor)


def detach(where: Filter) -> bool:
    """Take one of our filters off; tell whether it was there."""
    if where not in attached(where.ifindex):
        return False
    traffic.delete_filter(where.ifindex, where.hook, PREFERENCE[where.program])
    return True


def attached(ifindex: int) -> set[Filter]:
    """Return our filters on a device; none where the device has no clsact or is gone."""
    return {
        Filter(ifindex, hook, each.name.removeprefix(OURS))
        for hook in Hook
        for each in traffic.filters(ifindex, hook)
        if each.name.startswith(OURS)
    }

"""Filters on devices: ours are attached, found again, and taken off; others stay.

Each program is a tc filter with direct action below the device's clsact qdisc, at a
preference of its own and under a name that begins with ours. What it does not redirect or
drop goes on to the next filter. A clsact qdisc that we made is left behind: others may use
it by now.
"""

import errno
from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

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

_ETH_P_ALL: Final = 0x0003
_HANDLE: Final = 1


class Hook(IntEnum):
    """Where a filter sits: the parent in tc's numbering."""

    INGRESS = 0xFFFFFFF2
    EGRESS = 0xFFFFFFF3


class Filter(NamedTuple):
    """One of our filters."""

    ifindex: int
    hook: Hook
    program: str


def attach(ip: IPRoute, where: Filter, descriptor: int) -> None:
    """Attach a program, in one step in place of the one of ours that is there.

    Raises:
        NetlinkError: the device is gone, or the kernel refuses.
    """
    _make_clsact(ip, where.ifindex)
    ip.tc(
        "replace-filter", "bpf", where.ifindex, _HANDLE,
        parent=int(where.hook), prio=PREFERENCE[where.program], protocol=_ETH_P_ALL,
        fd=descriptor, name=OURS + where.program, direct_action=True,
    )  # fmt: skip


def detach(ip: IPRoute, where: Filter) -> bool:
    """Take one of our filters off; tell whether it was there."""
    if where not in attached(ip, where.ifindex):
        return False
    ip.tc(
        "del-filter", "bpf", where.ifindex, _HANDLE,
        parent=int(where.hook), prio=PREFERENCE[where.program], protocol=_ETH_P_ALL,
    )  # fmt: skip
    return True


def attached(ip: IPRoute, ifindex: int) -> set[Filter]:
    """Return our filters on a device; none where the device has no clsact or is gone."""
    found = set()
    for hook in Hook:
        try:
            filters = list(ip.get_filters(ifindex, parent=int(hook)))
        except NetlinkError as error:
            if error.code not in {errno.ENODEV, errno.EINVAL, errno.ENOENT}:
                raise
            continue
        for each in filters:
            options = each.get_attr("TCA_OPTIONS")
            name = options.get_attr("TCA_BPF_NAME") if options else None
            if name and name.startswith(OURS):
                found.add(Filter(ifindex, hook, name.removeprefix(OURS)))
    return found


def _make_clsact(ip: IPRoute, ifindex: int) -> None:
    try:
        ip.tc("add", "clsact", ifindex)
    except NetlinkError as error:
        if error.code != errno.EEXIST:
            raise

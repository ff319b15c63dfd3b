"""Sets and removes routes."""

import struct
from socket import AF_INET
from typing import Final

from patronus.dataplane.routedump import (
    ROUTE,
    RTA_DST,
    RTA_GATEWAY,
    RTA_OIF,
    RTA_PREFSRC,
    RTA_PRIORITY,
    RTA_TABLE,
    RTM_NEWROUTE,
    RTN_UNICAST,
    RTNH_F_ONLINK,
    Route,
)
from patronus.dataplane.rtnetlink import NLM_F_CREATE, NLM_F_REPLACE, attribute, change

RTM_DELROUTE: Final = 25
RT_SCOPE_UNIVERSE: Final = 0
RT_SCOPE_LINK: Final = 253


def set_route(route: Route) -> None:
    """Set a route, instead of one with the same destination, table and metric.

    Raises:
        OSError: the kernel refused.
    """
    change(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, _body(route))


def delete_route(route: Route) -> None:
    """Remove a route.

    Raises:
        OSError: the kernel refused; ESRCH: there is none.
    """
    change(RTM_DELROUTE, 0, _body(route))


def _body(route: Route) -> bytes:
    direct = route.family == AF_INET and route.type == RTN_UNICAST and route.gateway is None
    body = ROUTE.pack(
        route.family,
        route.dst_len,
        0,
        0,
        0,  # the table stands in an attribute, where it has 32 bits
        route.protocol,
        RT_SCOPE_LINK if direct else RT_SCOPE_UNIVERSE,
        route.type,
        RTNH_F_ONLINK if route.onlink else 0,
    )
    body += attribute(RTA_TABLE, struct.pack("=I", route.table))
    body += attribute(RTA_PRIORITY, struct.pack("=I", route.metric))
    if route.dst is not None:
        body += attribute(RTA_DST, route.dst.packed)
    if route.oif:
        body += attribute(RTA_OIF, struct.pack("=I", route.oif))
    if route.gateway is not None:
        body += attribute(RTA_GATEWAY, route.gateway.packed)
    if route.prefsrc is not None:
        body += attribute(RTA_PREFSRC, route.prefsrc.packed)
    return body

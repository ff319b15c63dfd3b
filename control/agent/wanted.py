"""What a configuration wants of this machine, as far as no look at the machine is needed."""

import ipaddress
from collections.abc import Iterator
from typing import Final

from patronus.control.config.layout import OWN, Layout
from patronus.control.config.model import (
    PORT_USUAL,
    AgentConfig,
    Kind,
    Mode,
    Transport,
)
from patronus.dataplane.linux.pins import Sizes
from patronus.dataplane.linux.prefixes import Network, Target
from patronus.dataplane.linux.records import Setting
from patronus.dataplane.underlay.pinning import Pin
from patronus.engine.overlay import I64

MARK_SHIFT: Final = 24
"""Marks of transports are in the bits of ``pinning.MARK_MASK``."""
TABLE_FIRST: Final = 7_470
TRANSPORTS_MAX: Final = 62
OVERLAY_MARK: Final = 63 << MARK_SHIFT
"""Of LAN packets in mode ``mark``; their class is added, in bits that no rule of ours looks at."""
OVERLAY_TABLE: Final = TABLE_FIRST + TRANSPORTS_MAX
CONTROL_PORT: Final = 4_510
"""Members speak on it; the ends of tunnels meet on the next one."""
MEETING_PORT: Final = CONTROL_PORT + 1


class Unsupported(Exception):
    """The configuration asks for something that this agent does not do yet."""


def check(config: AgentConfig) -> None:
    """Refuse what would only be pretended.

    Raises:
        Unsupported: with everything that is asked for and not there, a line each.
    """
    if problems := list(_problems(config)):
        raise Unsupported("\n".join(problems))


def _problems(config: AgentConfig) -> Iterator[str]:
    if len(config.transports) > TRANSPORTS_MAX:
        yield f"{len(config.transports)} transports; {TRANSPORTS_MAX} is the most"
    ports = {t.port: t.name for t in config.transports if t.kind is Kind.PLAIN}
    if len(ports) > 1:
        names = " and ".join(sorted(ports.values()))
        yield f"plain transports must share one port, but {names} have different ones"
    wireguard = [t for t in config.transports if t.kind is Kind.WIREGUARD]
    taken = [t.port for t in wireguard]
    if len(set(taken)) < len(taken):
        names = " and ".join(t.name for t in wireguard)
        yield f"WireGuard listens on every address, so {names} need different ports"


def port(config: AgentConfig) -> int:
    """Return where our kernel takes packets of tunnels."""
    return next((t.port for t in config.transports if t.kind is Kind.PLAIN), PORT_USUAL)


def pinned(config: AgentConfig) -> int:
    """Return the classes whose flows stay on their tunnels, one bit each."""
    return sum(1 << number for number, c in enumerate(config.policy.classes) if c.pinned)


def settings_flags(config: AgentConfig) -> Setting:
    """Return how steering hands packets on."""
    return Setting.MARK if config.dataplane.mode is Mode.MARK else Setting.DELIVER


def mark(config: AgentConfig, transport: Transport) -> int:
    """Return the firewall mark of a transport."""
    return (number(config, transport) + 1) << MARK_SHIFT


def number(config: AgentConfig, transport: Transport) -> int:
    """Return the place of a transport, which may come from an elder or a newer configuration.

    A policy is taken while the agent runs, and with it what transports cost: they are the same
    by name.
    """
    return [each.name for each in config.transports].index(transport.name)


def underlay(config: AgentConfig) -> list[Pin]:
    """Return how each transport is tied to its interface."""
    return [
        Pin(
            transport=transport.name,
            interface=transport.interface,
            mark=mark(config, transport),
            table=TABLE_FIRST + number,
            gateways=(ipaddress.ip_address(transport.gateway),) if transport.gateway else (),
            vxlan_port=transport.port if transport.kind is Kind.VXLAN else 0,
        )
        for number, transport in enumerate(config.transports)
    ]


def overlay_pin(config: AgentConfig, device: str) -> list[Pin]:
    """Return what leads marked packets of the LAN to the overlay device, in mode ``mark``.

    They have been found to be for other sites, so whatever else the main table says of their
    targets does not matter.
    """
    if config.dataplane.mode is not Mode.MARK:
        return []
    return [
        Pin(
            transport="(overlay)", interface=device, mark=OVERLAY_MARK, table=OVERLAY_TABLE,
            has_no_gateway=True,
        )
    ]  # fmt: skip


def prefixes(layout: Layout, places: I64) -> dict[Network, Target]:
    """Return which prefix leads to which place; places by destination."""
    return {
        ipaddress.ip_network(prefix): Target(int(places[destination]), local=destination == OWN)
        for prefix, destination in layout.prefixes
    }


def sizes(layout: Layout, classes: int) -> Sizes:
    """Return how large the maps must be: the usual sizes, doubled until all fits."""
    usual = Sizes()
    return Sizes(
        rows=_doubled(usual.rows, layout.overlay.rows),
        entries=_doubled(usual.entries, len(layout.overlay.destinations) * classes),
        prefixes=_doubled(usual.prefixes, len(layout.prefixes)),
    )


def _doubled(usual: int, least: int) -> int:
    while usual < least:
        usual *= 2
    return usual

"""Everything that can go wrong, as one table.

The table is data: the scenario language validates fields against it, the compiler
resolves selectors by it, and the report takes from it what to measure at the
receiver in order to verify the fault. Fields are named as in ``FaultSpec``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from patronus.engine.units import PPM
from patronus.sim.scenario import FaultKind, FaultSpec


class Target(StrEnum):
    """What sort of object a fault hits; also the unit that ``mode`` counts."""

    LINKS = "links"
    """Cables: access links, provider links, or whole groups and providers of them."""
    SITES = "sites"
    TUNNELS = "tunnels"
    """All tunnels of the selected sites over the selected transports."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What one kind of fault needs, hits and does."""

    does: str
    target: Target
    selects: frozenset[str]
    """Fields of ``Selector`` that name its objects; others must be empty."""
    quantity: str
    """What the receiver counts to verify it; the unit stands last."""
    needs: tuple[str, ...] = ()
    """Fields that must be given, and not be zero."""
    allows: tuple[str, ...] = ()
    """Fields that may be given besides."""
    directed: bool = False
    """One direction alone can be hit."""
    carrier: bool = False
    """The equipment at the ends sees it: the provider routes around it."""
    black: bool = False
    """Nothing gets through the hit links."""
    commands: str | int = PPM
    """The commanded value of the quantity: a number, or the field that holds it."""


_CABLES: Final = frozenset({"sites", "transports", "links", "groups", "providers"})
_SITES: Final = frozenset({"sites"})
_ATTACHMENTS: Final = frozenset({"sites", "transports"})


def _wire(does: str, quantity: str, *needs: str) -> Kind:
    # An impairment of links that lets packets through.
    return Kind(does, Target.LINKS, _CABLES, quantity, needs, directed=True, commands=needs[0])


def _agent(does: str, quantity: str, *needs: str, commands: str | int = 0) -> Kind:
    return Kind(does, Target.SITES, _SITES, quantity, needs, commands=commands)


KINDS: Final[Mapping[FaultKind, Kind]] = {
    FaultKind.LINK_DOWN: Kind(
        "the cable is dead in both directions and its ends notice",
        Target.LINKS, _CABLES, "loss_ppm", carrier=True, black=True,
    ),
    FaultKind.BLACKHOLE: Kind(
        "every packet vanishes while the carrier stays up",
        Target.LINKS, _CABLES, "loss_ppm", directed=True, black=True,
    ),
    FaultKind.LOSS: _wire("packets are lost independently", "loss_ppm", "loss_ppm"),
    FaultKind.BURST_LOSS: _wire(
        "packets are lost in bursts that belong to the link", "loss_ppm", "burst"
    ),
    FaultKind.DELAY: Kind(
        "every packet arrives later",
        Target.LINKS, _CABLES, "owd_ns", ("delay_ns",), ("jitter_ns",), directed=True,
        commands="delay_ns",
    ),
    FaultKind.JITTER: _wire("packets arrive unevenly later", "owd_spread_ns", "jitter_ns"),
    FaultKind.CORRUPTION: _wire(
        "packets arrive damaged and fail authentication", "corrupted_ppm", "loss_ppm"
    ),
    FaultKind.DUPLICATION: _wire("packets arrive twice", "duplicated_ppm", "loss_ppm"),
    FaultKind.REORDERING: _wire(
        "packets are held back and overtaken", "reordered_ppm", "loss_ppm", "delay_ns"
    ),
    FaultKind.RATE: _wire("the link carries less", "delivered_bps", "rate_bps"),
    FaultKind.FLAPPING: Kind(
        "the cable goes down and up in turn, and its ends notice",
        Target.LINKS, _CABLES, "loss_ppm", ("down_ns", "up_ns"), directed=True, carrier=True,
        black=True,
    ),
    FaultKind.SHARED_RISK_CUT: Kind(
        "all cables of a shared-risk group are cut at once",
        Target.LINKS, frozenset({"groups"}), "loss_ppm", carrier=True, black=True,
    ),
    FaultKind.PROVIDER_OUTAGE: Kind(
        "all cables of a provider and all access links to it are dead",
        Target.LINKS, frozenset({"providers"}), "loss_ppm", carrier=True, black=True,
    ),
    FaultKind.SITE_CRASH: Kind(
        "the site loses power: agent, dataplane and access links are gone",
        Target.SITES, _SITES, "loss_ppm", black=True,
    ),
    FaultKind.AGENT_KILL: _agent(
        "the agent is gone and comes back knowing nothing; the dataplane runs on",
        "announcements",
    ),
    FaultKind.AGENT_PAUSE: _agent(
        "the agent stands still and comes back with old knowledge", "announcements"
    ),
    FaultKind.CONTROLLER_PARTITION: _agent(
        "no announcement reaches the site or leaves it", "announcements"
    ),
    FaultKind.CLOCK_JUMP: _agent(
        "the site's clock steps", "clock_ns", "jump_ns", commands="jump_ns"
    ),
    FaultKind.MTU_BLACKHOLE: _wire("larger packets vanish silently", "largest_bytes", "mtu"),
    FaultKind.DRAIN: Kind(
        "the site's transports are taken out of service in an orderly way",
        Target.SITES, _ATTACHMENTS, "packets", commands=0,
    ),
    FaultKind.HALF_CONFIG: _agent("the site runs another policy", "policies", "policy", commands=1),
    FaultKind.REKEY_STORM: Kind(
        "tunnels fall mute one after the other while they change keys",
        Target.TUNNELS, _ATTACHMENTS, "loss_ppm", ("down_ns", "up_ns"), black=True,
    ),
    FaultKind.LAN_DOWN: _agent("what lies behind the site is gone", "loss_ppm", commands=PPM),
}  # fmt: skip


def kind_of(fault: FaultSpec) -> Kind:
    """Return the table's entry for a fault."""
    return KINDS[fault.kind]


def commanded(fault: FaultSpec) -> int:
    """Return the value of the kind's ``quantity`` that the fault asks for."""
    if fault.kind is FaultKind.BURST_LOSS and (burst := fault.burst) is not None:
        return burst.loss_ppm * burst.length_ns // (burst.gap_ns + burst.length_ns)
    commands = KINDS[fault.kind].commands
    return commands if isinstance(commands, int) else int(getattr(fault, commands))

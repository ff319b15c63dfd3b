"""What a change of the configuration asks for, and whether it may cut the agent off.

Everything here is pure: two configurations in, words out. The agent acts on the gravest
:class:`Action`, and asks for a confirmation (``apply --confirm-within``) of what
:func:`dangers` names.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, Final

from patronus.control.config.model import AgentConfig, Destination, Endpoint, Peer, Transport
from patronus.engine.policy import Policy


class Action(IntEnum):
    """What a reload must do; a graver one includes the others."""

    NOTHING = 0
    SETTINGS = 1
    """Log level, metrics, recording: no decision depends on them."""
    POLICY = 2
    """The engine goes on under another policy (``Engine.configure``)."""
    PEERS = 3
    """Other tunnels, destinations or timers: a new engine takes over from the kernel's tables."""
    RESTART = 4
    """The agent starts anew; the pinned programs carry the traffic meanwhile."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference."""

    where: str
    """Key of the file, or ``peers.NAME``."""
    what: str
    """``added``, ``removed`` or ``changed``."""
    action: Action


_ACTIONS: Final[Mapping[str, Action]] = {
    "site": Action.RESTART, "role": Action.PEERS, "identity": Action.RESTART,
    "state": Action.RESTART, "run": Action.RESTART, "lan": Action.PEERS,
    "bfd": Action.PEERS,
    "seeds": Action.SETTINGS, "enrolment": Action.SETTINGS, "dataplane": Action.RESTART,
    "rotate_every_ns": Action.SETTINGS, "metrics": Action.SETTINGS, "record": Action.SETTINGS,
    "log": Action.SETTINGS,
}  # fmt: skip
"""What each key asks for that is compared as a whole."""

_Named = Mapping[str, object]

_LIVE: Final = ("classes", "cost", "margin_ppm", "margin_ns", "features")
"""Fields of a policy that an engine changes as it runs."""

_WIRE: Final = ("interface", "address", "gateway", "kind", "ports", "mtu", "proofs_ns")
"""Fields of a transport on which its tunnels depend; its liveness and cost are in the policy."""


def diff(old: AgentConfig, new: AgentConfig) -> tuple[Change, ...]:
    """Return the differences in order of the file's keys; where it lies is none."""
    return (
        *(
            Change(key.removesuffix("_ns"), "changed", needed)
            for key, needed in _ACTIONS.items()
            if _differs(old, new, key)
        ),
        *_named("transports", _wires(old), _wires(new), Action.RESTART),
        *_named("transports", _risks(old, new), _risks(new, old), Action.PEERS),
        *_named("peers", _by_name(old.peers), _by_name(new.peers), Action.PEERS),
        *_named(
            "destinations", _by_name(old.destinations), _by_name(new.destinations), Action.PEERS
        ),
        *_policy(old.policy, new.policy),
    )


def action(changes: tuple[Change, ...]) -> Action:
    """Return the gravest action that some changes ask for."""
    return max((change.action for change in changes), default=Action.NOTHING)


def _differs(old: object, new: object, key: str) -> bool:
    return bool(getattr(old, key) != getattr(new, key))


def _named(key: str, old: _Named, new: _Named, needed: Action) -> Iterator[Change]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            what = "added" if name not in old else "changed" if name in new else "removed"
            yield Change(f"{key}.{name}", what, needed)


def _by_name(items: tuple[Peer, ...] | tuple[Destination, ...]) -> _Named:
    return {item.name: item for item in items}


def _wires(config: AgentConfig) -> _Named:
    return {t.name: _wire(t) for t in config.transports}


def _wire(transport: Transport) -> tuple[Any, ...]:
    return tuple(getattr(transport, key) for key in _WIRE)


def _risks(config: AgentConfig, other: AgentConfig) -> _Named:
    """Return the groups of the transports that stay as they are otherwise."""
    wires = _wires(other)
    return {t.name: t.groups for t in config.transports if wires.get(t.name) == _wire(t)}


def _policy(old: Policy, new: Policy) -> Iterator[Change]:
    # An engine's classes are numbers: it can change what they mean, not which there are.
    same_classes = [c.name for c in old.classes] == [c.name for c in new.classes]
    for key in (f.name for f in fields(Policy)):
        if _differs(old, new, key):
            live = key in _LIVE and (key != "classes" or same_classes)
            yield Change(f"policy.{key}", "changed", Action.POLICY if live else Action.PEERS)


# ---------------------------------------------------------------- danger


def dangers(old: AgentConfig, new: AgentConfig) -> tuple[str, ...]:
    """Return how a change might cut the agent off, in words; empty if it cannot.

    It can wherever the tunnels that we know to work are all given up at once: they may
    have been the only way to take the change back. A peer that keeps one of its tunnels
    as it is is not lost, and neither is the agent while somebody who carries traffic, or
    every peer, is kept.
    """
    whole = [key for key in ("site", "identity") if _differs(old, new, key)]
    if whole and old.peers:
        names = " and ".join(whole)
        return (f"the peers know this site by another {names}, and may refuse the new one",)
    before = {peer.name: peer for peer in old.peers if peer.endpoints}
    kept = {peer.name: peer for peer in new.peers}
    lost = [name for name, peer in before.items() if not _keeps(peer, kept.get(name), old, new)]
    if not lost:
        return ()
    carriers = {name for name, peer in before.items() if peer.role.carries}
    ways = carriers or set(before)
    alone = (
        ["no tunnel that works today is kept to any site that carries others' traffic"]
        if ways <= set(lost)
        else []
    )
    cut = [name for name in lost if name in kept]
    return (*alone, *(f"every tunnel to {name} is changed" for name in cut))


def _keeps(before: Peer, after: Peer | None, old: AgentConfig, new: AgentConfig) -> bool:
    """Tell whether a tunnel to a peer stays just as it is."""
    if after is None or (before.key, before.psk) != (after.key, after.psk):
        return False
    transports = {t.name: t for t in new.transports}
    return any(
        name in transports
        and _found(after.endpoints.get(name)) == _found(endpoint)
        and _wire(old.transport(name)) == _wire(transports[name])
        for name, endpoint in before.endpoints.items()
    )


def _found(endpoint: Endpoint | None) -> tuple[str | None, int] | None:
    """Return where a peer is found; what its end shares a risk with does not matter here."""
    return (endpoint.address, endpoint.port) if endpoint else None

"""Builds the configuration from what was read, once it holds no mistake."""

from typing import Any, Final

from patronus.control.config.model import (
    AgentConfig,
    BfdNeighbour,
    Dataplane,
    Destination,
    Endpoint,
    Lan,
    LanInterface,
    Metrics,
    Peer,
    Recording,
    Role,
    Transport,
)
from patronus.engine.policy import PROFILES
from patronus.sim.language.files import beside
from patronus.sim.language.policies import liveness, policy
from patronus.sim.language.records import Rec

IDENTITY: Final = "identity.key"
"""In the folder of the state, where no other place is given."""


def config(root: Rec, path: str) -> AgentConfig:
    """Return the configuration of a root record."""
    transports = _transports(root)
    ports = {t.name: t.port for t in transports}
    destinations = sorted(root.get("destinations", {}).items())
    state = place(root, "state", "/var/lib/patronus")
    attributes = root.attributes() | {
        "role": root.get("role", Role.SPOKE),
        "identity": place(root, "identity", f"{state}/{IDENTITY}"),
        "state": state,
        "run": place(root, "run", "/run/patronus"),
    }
    return AgentConfig(
        **attributes,
        transports=transports,
        lan=_lan(root.get("lan")),
        peers=tuple(_peer(n, rec, ports) for n, rec in sorted(root.get("peers", {}).items())),
        destinations=tuple(Destination(name, **rec.attributes()) for name, rec in destinations),
        policy=policy(
            root.get("policy"),
            {t.name: t.liveness for t in transports},
            {t.name: t.cost for t in transports if t.cost},
        ),
        bfd=tuple(_neighbour(n, rec) for n, rec in sorted(root.get("bfd", {}).items())),
        dataplane=Dataplane(**_attributes(root.get("dataplane"))),
        metrics=Metrics(**_attributes(root.get("metrics"))) if _on(root, "metrics") else None,
        record=Recording(**_attributes(root.get("record"))) if _on(root, "record") else None,
        path=path,
    )


def place(rec: Rec, key: str, default: str) -> str:
    """Return a file or folder as seen from the file that names it."""
    named = rec.get(key)
    return beside(rec.mark(key).source.name, named) if named else default


def _on(root: Rec, key: str) -> bool:
    """Tell whether a service runs: it does where nothing is said."""
    return root.get(key, True) is not None


def _attributes(rec: Rec | None) -> dict[str, Any]:
    return rec.attributes() if rec else {}


def _transports(root: Rec) -> tuple[Transport, ...]:
    given: dict[str, Rec] = root.get("transports")
    return tuple(_transport(name, rec) for name, rec in sorted(given.items()))


def _transport(name: str, rec: Rec) -> Transport:
    own = rec.get("liveness")
    probing = liveness(own) if own else PROFILES["wan"]
    return Transport(name, **rec.attributes(), liveness=probing)


def _lan(rec: Rec) -> Lan:
    return Lan(tuple(map(_interface, rec.get("interfaces"))), rec.get("prefixes", ()))


def _interface(given: Rec | str) -> LanInterface:
    return LanInterface(given) if isinstance(given, str) else LanInterface(**given.attributes())


def _peer(name: str, rec: Rec, ports: dict[str, int]) -> Peer:
    attributes = rec.attributes() | {"psk": place(rec, "psk", "")}
    endpoints = {
        transport: _endpoint(given, ports[transport])
        for transport, given in sorted(rec.get("endpoints", {}).items())
    }
    return Peer(name, **attributes, endpoints=endpoints)


def _neighbour(name: str, rec: Rec) -> BfdNeighbour:
    return BfdNeighbour(name, **rec.attributes(), key=place(rec, "key", ""))


def _endpoint(given: Rec | tuple[str, int | None] | None, port: int) -> Endpoint:
    rec = given if isinstance(given, Rec) else None
    place = rec.get("address") if rec else given
    groups = rec.get("groups", ()) if rec else ()
    address, own = place if isinstance(place, tuple) else (None, None)
    return Endpoint(address, own or port, groups)

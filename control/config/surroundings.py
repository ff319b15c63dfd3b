"""What this machine, or plain sense, has to say to a configuration: warnings, never mistakes.

A file may be checked on another machine than the one it is for, and what is missing now may
come: an interface that is not there is waited for when the agent runs.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from patronus.control.config import identity
from patronus.control.config.consistency import IPV6_LEAST, OUTER_BYTES
from patronus.control.config.model import AgentConfig, Kind, Mode

INTERFACES: Final = Path("/sys/class/net")


def warnings(config: AgentConfig, interfaces: Path = INTERFACES) -> list[str]:
    """Return what deserves a second look, in sentences.

    Args:
        config: free of mistakes.
        interfaces: where the kernel lists them, a folder each.
    """
    return [*_alone(config), *_interfaces(config, interfaces), *_files(config), *_spoofable(config)]


def _alone(config: AgentConfig) -> Iterator[str]:
    if not config.peers and not config.seeds:
        yield "there is neither a peer nor a seed, so nobody will be reached"
    elif config.seeds and not config.enrolment:
        yield "there are seeds but no `enrolment` key, so only pinned peers are let in"
    if not config.lan.prefixes:
        yield "the LAN announces no prefix, so nobody will send anything here"


def _interfaces(config: AgentConfig, folder: Path) -> Iterator[str]:
    for transport in config.transports:
        if not (folder / transport.interface).exists():
            yield f"transport {transport.name}: there is no interface {transport.interface} here"
            continue
        yield from _too_small(config, transport.name, _mtu(folder / transport.interface))
    for interface in config.lan.interfaces:
        if not (folder / interface.name).exists():
            yield f"lan: there is no interface {interface.name} here"


def _mtu(interface: Path) -> int | None:
    """Return what the kernel says, None where it does not."""
    try:
        return int((interface / "mtu").read_text())
    except (OSError, ValueError):
        return None


def _too_small(config: AgentConfig, name: str, mtu: int | None) -> Iterator[str]:
    transport = config.transport(name)
    if mtu is not None and transport.mtu is not None and mtu < transport.mtu:
        yield (
            f"transport {name}: {transport.interface} has an MTU of {mtu}, less than the "
            f"{transport.mtu} given"
        )
    sizes = [size for size in (mtu, transport.mtu) if size is not None]
    least = IPV6_LEAST + OUTER_BYTES[transport.kind]
    if sizes and min(sizes) < least:
        yield (
            f"transport {name}: an MTU of {min(sizes)} is too small for IPv6, which needs {least} "
            f"with the tunnel's headers; no IPv6 packet will use it"
        )


def _files(config: AgentConfig) -> Iterator[str]:
    if not identity.look(config.identity).there:
        yield f"{config.identity} is not there; a key is made at the first start"
    for peer in config.peers:
        if peer.psk and not Path(peer.psk).is_file():
            yield f"peer {peer.name}: there is no {peer.psk}"
    for neighbour in config.bfd:
        if neighbour.key and not Path(neighbour.key).is_file():
            yield f"bfd {neighbour.name}: there is no {neighbour.key}"


def _spoofable(config: AgentConfig) -> Iterator[str]:
    for transport in config.transports:
        if transport.kind is not Kind.WIREGUARD:
            yield (
                f"transport {transport.name}: {transport.kind} tunnels do not encrypt, and who "
                f"sees their packets can forge liveness"
            )
    if config.dataplane.mode is Mode.REDIRECT and config.dataplane.firewall_bypass:
        yield "redirected packets pass no forward or NAT rule of the firewall"

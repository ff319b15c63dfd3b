"""``patronus agent check-config``: all that can be known of a configuration without running it."""

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from patronus.control.config.model import AgentConfig, Peer, Transport
    from patronus.engine.policy import TrafficClass


@click.command()
@click.argument("file", metavar="FILE")
def command(file: str) -> int:
    """Check an agent's configuration and print what it comes to.

    Prints the site's transports, peers and destinations, and warns of what this machine
    lacks for it and of what deserves a second look.
    """
    from patronus.control.config import load
    from patronus.control.config.surroundings import warnings
    from patronus.control.tables import indented

    config = load(file)
    click.echo("\n".join(_lines(config)))
    for warning in indented(f"warning: {text}" for text in warnings(config)):
        click.echo(click.style(warning, fg="yellow"))
    click.echo("\nNothing is wrong with it.")
    return 0


def _lines(config: "AgentConfig") -> list[str]:
    from patronus.control.tables import counted, indented, table

    tunnels = sum(len(peer.endpoints) for peer in config.peers)
    sizes = (counted(len(config.peers), "peer"), counted(tunnels, "tunnel"))
    return [
        f"{config.site} ({config.path})",
        *indented([f"{config.role}, {', '.join(sizes)}, {_dataplane(config)}"]),
        *indented(["transports:", *indented(table([_transport(t) for t in config.transports]))]),
        *indented(["peers:", *indented(table([_peer(p) for p in config.peers]))]),
        *indented(["destinations:", *indented(table(_destinations(config)))]),
        *indented([f"classes: {', '.join(map(_class, config.policy.classes))}"]),
        *indented([f"WireGuard keys are replaced {_rotation(config)}"]),
    ]


def _class(traffic: "TrafficClass") -> str:
    weights = ", ".join(f"{name} {weight}" for name, weight in sorted(traffic.share.items()))
    remarks = [*(["pinned"] if traffic.pinned else []), *([f"shares {weights}"] if weights else [])]
    return f"{traffic.name} ({'; '.join(remarks)})" if remarks else traffic.name


def _dataplane(config: "AgentConfig") -> str:
    pace = "by the kernel" if config.dataplane.probes == "kernel" else "by a process of their own"
    return f"packets by {config.dataplane.mode}, probes sent {pace}"


def _rotation(config: "AgentConfig") -> str:
    from patronus.sim.language.quantities import shown

    return f"every {shown(config.rotate_every_ns)}" if config.rotate_every_ns else "when asked for"


def _transport(transport: "Transport") -> list[str]:
    from patronus.sim.language.quantities import shown

    probing = transport.liveness
    return [
        transport.name,
        f"{transport.kind} on {transport.interface}",
        f"{transport.address or 'address by DHCP'} port {_ports(transport)}",
        f"{shown(probing.interval_ns)} × {probing.multiplier} = {shown(probing.detect_ns)}",
        f"cost {transport.cost}",
    ]


def _ports(transport: "Transport") -> str:
    from patronus.control.config.model import Kind

    if transport.kind is not Kind.WIREGUARD:
        return str(transport.port)
    return "{} and {} in turn".format(*transport.ports)


def _peer(peer: "Peer") -> list[str]:
    over = ", ".join(peer.endpoints) or "through others"
    return [peer.name, str(peer.role), over, ", ".join(peer.prefixes)]


def _destinations(config: "AgentConfig") -> list[list[str]]:
    return [
        [config.site, "here", ", ".join(config.lan.prefixes)],
        *([d.name, f"at {', '.join(d.sites)}", ", ".join(d.prefixes)] for d in config.destinations),
    ]

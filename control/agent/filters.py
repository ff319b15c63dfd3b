"""Our filters on the devices of a site: which ones are wanted, and that they are there."""

from collections.abc import Iterator, Mapping

from patronus.control.agent.devices import Devices
from patronus.control.agent.ground import Ground, has_ethernet
from patronus.control.config.model import AgentConfig, Kind
from patronus.dataplane.linux.attach import Filter, Hook, attach, attached, detach


def wanted(
    config: AgentConfig, ground: Ground, devices: Devices, *, overlay: int
) -> Iterator[Filter]:
    """Yield the filters of the devices that are there; overlay: index of its device, or 0."""
    if overlay:
        yield Filter(overlay, Hook.EGRESS, "steer_out")
    for transport in config.transports:
        for index in filter(None, devices.indices(transport)):
            over = transport.kind is Kind.WIREGUARD or not has_ethernet(transport.interface)
            yield Filter(index, Hook.INGRESS, "tunnel_ip" if over else "tunnel_ether")
    for index in devices.vxlans.indices() if devices.vxlans else ():
        yield Filter(index, Hook.INGRESS, "tunnel_ether")
    for interface in config.lan.interfaces:
        if interface.name in ground.links:
            yield Filter(ground.links[interface.name].index, Hook.INGRESS, "steer_lan")


class Filters:
    """The filters of one agent."""

    def __init__(self, programs: Mapping[str, int]) -> None:
        self._programs = programs
        self._mine: set[Filter] = set()
        self.troubles: list[str] = []

    def ensure(self, filters: Iterator[Filter], *, renew: bool) -> int:
        """Attach what is missing, take off what is not wanted any more; return how many differed.

        Args:
            filters: that are wanted.
            renew: attach all of them, in place of those of an elder program.
        """
        want, repaired = set(filters), 0
        self.troubles = []
        for device in {w.ifindex for w in want | self._mine}:
            own = {w for w in want if w.ifindex == device}
            try:
                repaired += self._device(device, own, renew=renew)
            except OSError as error:
                self.troubles.append(f"filter on interface {device}: {error}")
        self._mine = want
        return repaired

    def _device(self, device: int, own: set[Filter], *, renew: bool) -> int:
        there = attached(device)
        missing = own if renew else own - there
        for each in missing:
            attach(each, self._programs[each.program])
        strange = {f for f in there - own if f.program not in {"launch", "turn"}}
        for each in strange:
            detach(each)
        return len(own - there) + len(strange)

    def remove(self, devices: list[int]) -> list[Filter]:
        """Take our filters off devices; return those that there were."""
        gone = [each for device in devices for each in attached(device)]
        for each in gone:
            detach(each)
        return gone

"""Takes away everything that an agent has left in the kernel, and nothing else.

Ours is: devices with our prefix and alias, rules and routes of our protocol number, filters
with our name, the pacer's pair, and the folder of pins. A clsact qdisc stays: others may use
it by now.
"""

from pathlib import Path
from typing import Final

from patronus.control.agent.control import SOCKET
from patronus.control.agent.devices import ownership
from patronus.control.agent.filters import Filters
from patronus.control.agent.leftovers import remove_fallback
from patronus.control.agent.lock import Lock
from patronus.control.agent.overlaydev import OverlayDevice
from patronus.control.agent.programs import PROGRAMS_FILE, pin_name
from patronus.control.config.model import AgentConfig
from patronus.dataplane.linkdump import link, links
from patronus.dataplane.linkwrite import delete_link
from patronus.dataplane.linux.loader import unload
from patronus.dataplane.routedump import Route
from patronus.dataplane.tunnels.choice import choose
from patronus.dataplane.tunnels.driver import TunnelTrouble
from patronus.dataplane.tunnels.links import Links
from patronus.dataplane.tunnels.vxlan import VxlanDriver
from patronus.dataplane.tunnels.wireguard import WireGuardDriver
from patronus.dataplane.underlay import kernel
from patronus.dataplane.underlay.pinning import Rule

PACER: Final = "patronus-tick0"


def clean(config: AgentConfig) -> list[str]:
    """Remove everything; return what there was, a line each.

    Raises:
        Taken: an agent runs.
        OSError: the kernel refuses.
    """
    with Lock(Path(config.state)):
        gone = [*_filters(), *remove_fallback(config), *_devices(config.site)]
        gone += [_shown(step.what) for step in kernel.remove()]
        if unload(pin_name(config.site)):
            gone.append(f"pins {pin_name(config.site)}")
    (Path(config.run) / SOCKET).unlink(missing_ok=True)
    (Path(config.state) / PROGRAMS_FILE).unlink(missing_ok=True)
    return gone


def _filters() -> list[str]:
    names = {each.index: each.name for each in links()}
    found = Filters({}).remove(list(names))
    gone = [f"filter {f.program} on {names[f.ifindex]}" for f in found]
    pacer = link(PACER)
    if pacer is not None:
        delete_link(pacer.index)
        gone.append(f"devices of the pacer ({PACER})")
    return gone


def _devices(site: str) -> list[str]:
    mine = ownership(site)
    found = Links(mine)
    gone = [f"device {name}" for name in OverlayDevice(mine).remove()]
    gone += [f"device {name}" for name in VxlanDriver(found).remove()]
    try:
        driver = WireGuardDriver(found, choose(found, mine).backend)
    except TunnelTrouble:  # no WireGuard, so none of its devices either
        return gone
    gone += [f"device {name}" for name in driver.remove()]
    driver.close()
    return gone


def _shown(what: Rule | Route) -> str:
    if isinstance(what, Rule):
        return f"rule to table {what.table}"
    return f"route {what.dst or 'default'}/{what.dst_len} of table {what.table}"

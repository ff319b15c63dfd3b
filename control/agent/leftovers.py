"""Takes away what a site that ran without BPF has left in the kernel, and nothing else.

Ours is: the process that probes, objects, routes and rules with our protocol number, VXLAN devices
with our prefix and alias, the memory, and one setting, which becomes what it was.
"""

import os
import select
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

from patronus.control.agent.devices import ownership
from patronus.control.config.model import AgentConfig
from patronus.dataplane.nexthops import compat, tables
from patronus.dataplane.nexthops.netlink import Channel
from patronus.dataplane.stamp.tenure import holder
from patronus.dataplane.tunnels.links import Links
from patronus.dataplane.tunnels.vxlan import VxlanDriver

MEMORY: Final = "fallback.memory"
LOCK: Final = "prober.lock"
LOG: Final = "prober.log"
COMPAT: Final = "nexthop_compat_mode"
END_S: Final = 5.0


def remove_fallback(config: AgentConfig) -> list[str]:
    """Remove everything; return what there was, a line each.

    Raises:
        OSError: the kernel refuses.
    """
    run = Path(config.run)
    if not (run / MEMORY).exists() and not (run / LOCK).exists():
        return []
    gone = _prober(run / LOCK)
    channel = Channel()
    try:
        gone += tables.remove(channel)
    finally:
        channel.close()
    devices = VxlanDriver(Links(ownership(config.site))).remove()
    gone += [f"device {name}" for name in devices]
    if compat.restore(run / COMPAT):
        gone.append(f"setting {compat.SETTING.name} as it was")
    for name in (MEMORY, LOCK, LOG):
        (run / name).unlink(missing_ok=True)
    return gone


def _prober(lock: Path) -> list[str]:
    """End the process that probes, and wait for its end."""
    found = holder(lock)
    if found is None:
        return []
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(found[0])
        try:
            os.kill(found[0], signal.SIGTERM)
            if not select.select([descriptor], [], [], END_S)[0]:
                os.kill(found[0], signal.SIGKILL)
        finally:
            os.close(descriptor)
    return ["the process that probes"]

"""A fleet on machines without BPF: the file system of BPF is hidden from agents."""

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

from patronus.dataplane.stamp.tenure import holder
from tests.control.agent.fleet import Fleet, Site, run

HIDE = 'mount -t tmpfs none /sys/fs && exec "$@"'


class BareSite(Site):
    """A router whose kernel has no BPF, as far as its agent can see."""

    def words(self, *command: str) -> list[str]:
        enter, net, *rest = super().words(*command)
        return [enter, net, "unshare", "--mount", "sh", "-c", HIDE, "sh", *rest]

    @property
    def prober(self) -> int:
        """The process that probes, 0 for none."""
        found = holder(self.folder / "run" / "prober.lock")
        return found[0] if found else 0

    def overflowed(self) -> int:
        """Return how many datagrams came to the host that its test was too slow to take."""
        text = run("ip", "netns", "exec", self.host, "cat", "/proc/net/snmp")
        names, values = (line.split() for line in text.splitlines() if line.startswith("Udp: "))
        return int(values[names.index("RcvbufErrors")])

    def sent(self) -> dict[str, int]:
        """Return how many packets each tunnel's device has sent."""
        shown = json.loads(
            run("ip", "-n", self.router, "-s", "-j", "link", "show", "type", "vxlan")
        )
        return {each["ifname"]: each["stats64"]["tx"]["packets"] for each in shown}

    def left(self) -> list[str]:
        """Return all of ours that the kernel holds."""
        found = [f"process {self.prober}"] if self.prober else []
        for family in ("-4", "-6"):
            ip = ("ip", "-n", self.router, family)
            found += [line for line in run(*ip, "rule").splitlines() if "lookup 74" in line]
            routes = run(*ip, "route", "show", "table", "all").splitlines()
            found += [line for line in routes if "table 74" in line or "pt-" in line]
        found += [w for w in run("ip", "-n", self.router, "link").split() if w.startswith("pt-")]
        return found + run("ip", "-n", self.router, "nexthop").splitlines()


class BareFleet(Fleet):
    """Two of them, a hub and a spoke."""

    def __init__(self, folder: Path, tag: str, kind: str = "plain") -> None:
        super().__init__(folder, folder / "cache", tag, kind)
        spoke, hub = (BareSite(self, name, self[name].number) for name in ("oslo", "hub"))
        self.spoke, self.hub = spoke, hub
        self.sites = {"hub": hub, "oslo": spoke}

    def text(self, site: Site) -> dict[str, Any]:
        """Return a configuration that a busy machine can keep."""
        text = super().text(site)
        for transport in text["transports"].values():
            transport["liveness"] = {"interval": "100ms", "multiplier": 5}
        text["classes"] = {"voice": {"match": {"dscp": "ef"}, "prefer": "red"}, "rest": {}}
        return text

    def close(self) -> None:
        for site in self.sites.values():
            if site.process is not None:
                site.process.kill()
                site.process.wait(30)
                site.process = None
            with contextlib.suppress(subprocess.TimeoutExpired):
                site.call("clean")
        for site in (self.hub, self.spoke):
            if prober := site.prober:
                os.kill(prober, signal.SIGKILL)
        super().close()

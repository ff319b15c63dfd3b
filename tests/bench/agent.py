"""The agent at scale: processor time, memory and start at many tunnels with answering ends.

``python -m tests.bench.agent [PEERS]``, as root. One agent with two plain transports to each
peer, probed ten times a second. The peers are rows of one other namespace, whose kernel reflects;
this process meets the agent in their names. CPU is the agent's own, softirqs of probes apart.
"""

import ipaddress
import json
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from pyroute2 import NetNS

from patronus.control.agent.control import NotRunning, ask
from patronus.control.agent.meeting import Lane, Meeting, Where
from patronus.control.agent.pairing import pairing
from patronus.control.agent.sockets import BYTES_MAX
from patronus.control.members.identity import Identity, load_or_make, make
from patronus.dataplane.linux import builder
from patronus.dataplane.linux.attach import Filter, Hook, attach
from patronus.dataplane.linux.endpoints import Endpoint, write_endpoint
from patronus.dataplane.linux.loader import load, unload
from patronus.dataplane.linux.pins import Sizes
from patronus.dataplane.linux.records import Kind
from patronus.dataplane.tunnels.pmtuprobe import ANSWER, FORMAT, MAGIC, PROBE
from patronus.engine.units import SECOND
from tests.control.agent.fleet import inside, run
from tests.rules.tree import ROOT

NEAR, FAR, SITE = "ag-near", "ag-far", "ag-scale"
WANS: Final = ("one", "two")
SECONDS: Final = 10


def address(peer: int, wan: int) -> str:
    return str(ipaddress.ip_address("10.128.0.0") + (wan << 16) + 2 + peer)


def own(wan: int) -> str:
    return address(-1, wan)


class Far:
    """All peers."""

    def __init__(self, identities: list[Identity], near: Identity, cache: Path) -> None:
        rows = len(identities) * len(WANS)
        self.pins = load("patronus-ag-far", builder.build(cache), Sizes(rows=rows))
        self.pins.array("settings")["port"] = 4789
        self.pins.array("settings")["heartbeat_ns"] = time.monotonic_ns() + 3600 * SECOND
        self.meetings: dict[socket.socket, tuple[str, Meeting]] = {}
        tunnels = self.pins.array("tunnels")
        with NetNS(FAR) as ip, inside(FAR):
            for number, wan in enumerate(WANS):
                index = ip.link_lookup(ifname=wan)[0]
                where = Filter(index, Hook.INGRESS, "tunnel_ether")
                attach(where, self.pins.programs["tunnel_ether"])
                for peer, identity in enumerate(identities):
                    row = peer * len(WANS) + number
                    shared = pairing(f"p{peer}", identity, SITE, near.public)
                    here = address(peer, number)
                    endpoint = Endpoint(
                        kind=Kind.PLAIN, local=ipaddress.ip_address(here),
                        remote=ipaddress.ip_address(own(number)), local_port=4789,
                        remote_port=4789, peer_row=0, session_in=shared.session_in(wan),
                        session_out=shared.session_out(wan), mtu=1400, peer_site=0,
                        ifindex=index,
                    )  # fmt: skip
                    write_endpoint(tunnels, row, endpoint, detect_ns=SECOND)
                    lane = Lane(row=row, peer=SITE, transport=wan, key=shared.key("meeting"),
                                where=Where(own(number), 4511), fixed=True)  # fmt: skip
                    self._listen(here, wan, Meeting(f"p{peer}", [lane], session=row + 1, port=4789))

    def _listen(self, here: str, wan: str, meeting: Meeting) -> None:
        with inside(FAR):
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.bind((here, 4511))
        self.meetings[opened] = wan, meeting

    def serve(self, seconds: float) -> None:
        """Answer, and take over the rows that are told."""
        end, poll = time.monotonic() + seconds, select.poll()
        known = {opened.fileno(): opened for opened in self.meetings}
        tunnels = self.pins.array("tunnels")
        for descriptor in known:
            poll.register(descriptor, select.POLLIN)
        while (left := end - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(left * 1000):
                opened = known[descriptor]
                wan, meeting = self.meetings[opened]
                data, source = opened.recvfrom(BYTES_MAX)
                if data.startswith(MAGIC):
                    answer_probe(opened, data, source)
                    continue
                said, met = meeting.receive(wan, data, Where(*source), time.monotonic_ns())
                for _, to, answer in said:
                    opened.sendto(answer, tuple(to))
                if met is not None:
                    tunnels["peer_id"][met.row] = met.peer_row


def answer_probe(opened: socket.socket, data: bytes, source: tuple[str, int]) -> None:
    """Answer a probe of the path's MTU, as a peer does."""
    _, kind, size, number, nonce = FORMAT.unpack_from(data)
    if kind == PROBE:
        opened.sendto(FORMAT.pack(MAGIC, ANSWER, size, number, nonce), source)


def network(peers: int) -> None:
    for name in (NEAR, FAR):
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
    run("ip", "-n", NEAR, "link", "add", "lan", "type", "veth", "peer", "name", "lan2")
    run("ip", "-n", NEAR, "link", "set", "lan", "up")
    for number, wan in enumerate(WANS):
        run("ip", "-n", NEAR, "link", "add", wan, "type", "veth", "peer", "name", wan,
            "netns", FAR)  # fmt: skip
        run("ip", "-n", NEAR, "addr", "add", f"{own(number)}/16", "dev", wan)
        lines = "".join(f"addr add {address(p, number)}/16 dev {wan}\n" for p in range(peers))
        subprocess.run(["ip", "-n", FAR, "-b", "-"], input=lines, text=True, check=True)
        for name in (NEAR, FAR):
            run("ip", "-n", name, "link", "set", wan, "up")


def text(identities: list[Identity]) -> dict[str, Any]:
    peers = {
        f"p{n}": {
            "key": identity.public.text,
            "endpoints": {wan: address(n, number) for number, wan in enumerate(WANS)},
            "prefixes": f"10.{n // 250}.{n % 250}.0/24",
        }
        for n, identity in enumerate(identities)
    }
    return {
        "version": 1, "site": SITE, "role": "hub", "identity": "identity.pem", "state": "state",
        "run": "run", "lan": {"interfaces": "lan", "prefixes": "10.99.0.0/24"}, "peers": peers,
        "transports": {
            wan: {"interface": wan, "address": own(number), "kind": "plain", "port": 4789,
                  "liveness": "wan"}
            for number, wan in enumerate(WANS)
        },
    }  # fmt: skip


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


running: list["subprocess.Popen[bytes]"] = []


def measure(folder: Path, peers: int) -> None:
    identities, near = [make() for _ in range(peers)], load_or_make(folder / "identity.pem")
    cache = folder / "cache"
    far = Far(identities, near, cache)
    (folder / "agent.yml").write_text(json.dumps(text(identities)))
    command = ["nsenter", f"--net=/run/netns/{NEAR}", sys.executable, "-m", "patronus", "agent",
               "run", "--config", str(folder / "agent.yml"), "--cache", str(cache)]  # fmt: skip
    for attempt in ("programs compiled", "programs found"):
        with (folder / "log").open("ab") as log:
            agent = subprocess.Popen(command, cwd=ROOT, stderr=log)
            running.append(agent)
        began = time.monotonic()
        while True:
            far.serve(0.1)
            try:
                health = ask(folder / "run", {"do": "show", "what": "health"})
                break
            except NotRunning:
                assert agent.poll() is None, (folder / "log").read_text()
        print(f"start, {attempt}: {time.monotonic() - began:.1f} s")
        far.serve(12)
        before, at = cpu_s(agent.pid), time.monotonic()
        far.serve(SECONDS)
        share = (cpu_s(agent.pid) - before) / (time.monotonic() - at)
        status = Path(f"/proc/{agent.pid}/status").read_text().splitlines()
        memory = {
            w.split(":")[0]: int(w.split()[1]) // 1024
            for w in status
            if w.startswith(("VmRSS", "VmHWM"))
        }
        health = ask(folder / "run", {"do": "show", "what": "health"})
        states = np.unique([t["state"] for t in health["tunnels"]], return_counts=True)
        print(f"tunnels: {dict(zip(*map(np.ndarray.tolist, states), strict=True))}")
        print(f"agent: {share:.1%} of a core, MB {memory}, drifts {health['drifts']}")
        for name, job in health["jobs"].items():
            spent = job["spent_ns"] / health["up_ns"]
            print(f"  {name}: {spent:.1%}, worst {job['worst_ns'] / 1e6:.0f} ms")
        steps_ms = {k: round(v / 1e6) for k, v in health["steps"].items()}
        print("  steps, worst ms:", steps_ms)
        agent.terminate()
        agent.wait()
        running.clear()


def main() -> None:
    peers = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    folder = Path(tempfile.mkdtemp(prefix="ag-scale-"))
    try:
        network(peers)
        measure(folder, peers)
    finally:
        for agent in running:
            agent.kill()
            agent.wait()
        for name in (NEAR, FAR):
            run("ip", "netns", "del", name, check=False)
        for pins in ("patronus-ag-far", f"patronus-{SITE}"):
            unload(pins)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()

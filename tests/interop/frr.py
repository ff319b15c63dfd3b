"""FRR's bfdd in a namespace, with sockets and logs in a folder of its own."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.interop.daemons import running
from tests.interop.waiting import eventually

DAEMONS = Path("/usr/lib/frr")


class Frr:
    """A running bfdd, spoken to by vtysh."""

    def __init__(self, folder: Path, pid: int) -> None:
        self._folder = folder
        self.pid = pid
        """Of bfdd."""

    def tell(self, *lines: str) -> str:
        """Run commands one after the other and return what they print."""
        words = [word for line in lines for word in ("-c", line)]
        done = subprocess.run(
            ["vtysh", "--vty_socket", str(self._folder), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def peer(self, address: str, local: str, interface: str, *lines: str) -> None:
        """Configure a peer, which is made if there is none yet."""
        where = f"peer {address} local-address {local} interface {interface}"
        self.tell("configure terminal", "bfd", where, *lines)

    def status(self, address: str) -> dict[str, Any]:
        """Return what bfdd says of a peer."""
        told = json.loads(self.tell("show bfd peers json"))
        (found,) = (peer for peer in told if peer["peer"] == address)
        return dict(found)

    def counters(self, address: str) -> dict[str, Any]:
        """Return what bfdd counted of a peer."""
        told = json.loads(self.tell("show bfd peers counters json"))
        (found,) = (peer for peer in told if peer["peer"] == address)
        return dict(found)


@contextmanager
def frr(namespace: str) -> Iterator[Frr]:
    """Yield a bfdd in a namespace. It runs as its own user, who must reach the folder."""
    with TemporaryDirectory(prefix="bfd-frr-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.chown(folder, "frr", "frrvty")
        common = ["-f", "/dev/null", "-z", str(folder / "zserv"), "--vty_socket", name]
        extra = {"zebra": [], "bfdd": ["--bfdctl", str(folder / "bfdctl.sock")]}
        for daemon, words in extra.items():
            pid = ["-i", str(folder / f"{daemon}.pid")]
            command = [str(DAEMONS / daemon), *common, *pid, *words]
            process = stack.enter_context(running(namespace, command, folder / f"{daemon}.log"))
            eventually((folder / f"{daemon}.vty").exists)
        yield Frr(folder, process.pid)

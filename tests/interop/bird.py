"""BIRD in a namespace; it speaks BFD with authentication, which FRR does not."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.interop.daemons import running
from tests.interop.waiting import eventually

CONFIG = """\
log "{folder}/log" all;
router id 10.9.0.2;
protocol device {{ }}
protocol bfd {{
    interface "{interface}" {{
        min rx interval 50 ms;
        min tx interval 50 ms;
        multiplier 3;
        {authentication}
    }};
    neighbor {neighbour} dev "{interface}" local {local};
}}
"""


class Bird:
    """A running BIRD, spoken to by birdc."""

    def __init__(self, namespace: str, folder: Path) -> None:
        self._namespace = namespace
        self._folder = folder
        self._running = ExitStack()
        self.start()

    def start(self) -> None:
        place = str(self._folder)
        command = ["bird", "-f", "-c", f"{place}/conf", "-s", f"{place}/ctl", "-P", f"{place}/pid"]
        self._running.enter_context(running(self._namespace, command, self._folder / "output"))
        eventually((self._folder / "ctl").exists)

    def stop(self) -> None:
        self._running.close()

    def restart(self) -> None:
        """Stop it and start it anew."""
        self.stop()
        (self._folder / "ctl").unlink(missing_ok=True)
        self.start()

    def state(self, neighbour: str) -> str:
        """Return the state of a session as BIRD names it, "" if it has none yet."""
        told = subprocess.run(
            ["birdc", "-s", str(self._folder / "ctl"), "show bfd sessions"],
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout
        rows = (line.split() for line in told.splitlines())
        return next((row[2] for row in rows if row and row[0] == neighbour), "")


@contextmanager
def bird(
    namespace: str, *, neighbour: str, local: str, interface: str, authentication: str
) -> Iterator[Bird]:
    """Yield a BIRD with one session."""
    with TemporaryDirectory(prefix="bfd-bird-") as name:
        folder = Path(name)
        (folder / "conf").write_text(
            CONFIG.format(
                folder=name,
                neighbour=neighbour,
                local=local,
                interface=interface,
                authentication=authentication,
            )
        )
        made = Bird(namespace, folder)
        try:
            yield made
        finally:
            made.stop()

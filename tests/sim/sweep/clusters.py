"""A real cluster for tests: Dask's own programs, each a process."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from distributed import Client

ROOT = Path(__file__).parents[3]

PATIENCE = "60s"
"""Starting programs takes as long as the machine is busy."""


QUIET = {
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "10s",
}
"""Dask watching itself would take longer than the points."""


@dataclass(frozen=True)
class Running:
    """A scheduler and its workers."""

    address: str
    client: Client
    scheduler: "subprocess.Popen[bytes]"
    workers: tuple["subprocess.Popen[bytes]", ...]

    def working(self, pid: int) -> bool:
        """Tell whether the worker of that process has points to run."""
        pids = self.client.run(os.getpid)
        mine = [address for address, number in pids.items() if number == pid]
        return any(self.client.processing().get(address) for address in mine)


@contextmanager
def cluster(folder: Path, workers: int = 2) -> Iterator[Running]:
    """Run a scheduler and some workers for as long as they are needed."""
    told = folder / "scheduler.json"
    server = ("--host", "127.0.0.1", "--port", "0", "--no-show")
    with ExitStack() as stack:
        begun = [
            stack.enter_context(_program(folder, "scheduler", *server, "--scheduler-file", told))
        ]
        for number in range(workers):
            options = ("--no-nanny", "--nthreads", "1", "--local-directory", folder / str(number))
            worker = _program(folder, "worker", *options, "--scheduler-file", told)
            begun.append(stack.enter_context(worker))
        client = Client(scheduler_file=str(told), timeout=PATIENCE, set_as_default=False)
        stack.enter_context(client)
        if workers:
            client.wait_for_workers(workers, timeout=PATIENCE)
        address = json.loads(told.read_text())["address"]
        yield Running(address, client, begun[0], tuple(begun[1:]))


@contextmanager
def _program(folder: Path, name: str, *options: str | Path) -> "Iterator[subprocess.Popen[bytes]]":
    words = [sys.executable, "-m", f"distributed.cli.dask_{name}", "--no-dashboard"]
    # As an installed package has it; this checkout's tests are not part of it.
    env = os.environ | QUIET | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with subprocess.Popen(
        [*words, *map(str, options)], cwd=folder, env=env, stderr=subprocess.DEVNULL
    ) as running:
        try:
            yield running
        finally:
            running.kill()

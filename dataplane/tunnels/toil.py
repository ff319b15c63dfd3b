"""Whether a process that does not answer hangs, or only waits for a processor.

On a machine with too much to do every process answers late. To kill one for that would cut
tunnels that carry packets, and starting it anew adds to what there is to do.
"""

import os
from pathlib import Path
from typing import Final, NamedTuple

from patronus.engine.units import SECOND

_TICK_NS: Final = SECOND // os.sysconf("SC_CLK_TCK")
_STATE, _USER, _SYSTEM = 0, 11, 12
"""Fields of proc_pid_stat(5), counted from the one after the name."""
_PROC: Final = Path("/proc")

BUSY: Final = 4
"""Who was given a fourth of the time was not kept from answering: it turns in a circle."""


class Toil(NamedTuple):
    """What the threads of a process have done so far."""

    ready: bool
    """One of them runs, or would if there were a processor for it."""
    spent_ns: int
    """Time on processors, of all threads together."""


def toil(pid: int, proc: Path = _PROC) -> Toil:
    """Read what a process has done; one that is gone does nothing."""
    ready, ticks = False, 0
    for stat in (proc / str(pid) / "task").glob("*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # this thread has just ended
            continue
        ready |= fields[_STATE] == "R"
        ticks += int(fields[_USER]) + int(fields[_SYSTEM])
    return Toil(ready, ticks * _TICK_NS)


def kept_waiting(before: Toil, after: Toil, passed_ns: int) -> bool:
    """Tell whether a process was kept from running in a span of time between two readings."""
    return after.ready and (after.spent_ns - before.spent_ns) * BUSY < passed_ns

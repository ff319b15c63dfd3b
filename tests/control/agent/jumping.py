"""``patronus`` under a wall clock that jumps by an hour at each reading, there and back.

``python -m tests.control.agent.jumping WORDS``. The machine's own clock cannot be set for one
process alone; everything of ours asks Python for the time of day.
"""

import itertools
import time

from patronus.control.cli import main

HOUR_NS = 3600 * 10**9

_real_ns = time.time_ns
_steps = itertools.cycle((0, HOUR_NS, -HOUR_NS))


def jumped_ns() -> int:
    """Return the time of day, an hour off most of the time."""
    return _real_ns() + next(_steps)


if __name__ == "__main__":
    time.time_ns = jumped_ns
    time.time = lambda: jumped_ns() / 1e9
    main()

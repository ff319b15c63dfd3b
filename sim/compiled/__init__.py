"""The passes over all rows, compiled: one walk in place of thirty arrays.

Each pass takes the ordinary rows and returns the places of all others, which then go
through the plain version, row by row index. So it decides nothing by itself: what an odd
row means is said once, in the modules of the engine and of :mod:`patronus.sim.wire`, and
the plain versions of the ordinary case stay as the oracle (``tests/sim/compiled``).

The arithmetic is that of NumPy on 64-bit integers. Numba keeps the machine code beside
these files (or in the user's cache): the first large run after an installation compiles
for some ten seconds.
"""

from patronus.engine.health import HEARD
from patronus.sim.compiled.choosing import fan_out, one_by_one, side_by_side
from patronus.sim.compiled.dozing import doze
from patronus.sim.compiled.fates import aloft
from patronus.sim.compiled.judging import judge
from patronus.sim.compiled.probes import (
    fly,
    observe,
    raise_newest,
    raise_newest_by_peer,
    raise_some,
    stamp,
)
from patronus.sim.compiled.waking import drowsy, rouse

__all__ = [
    "HEARD",
    "aloft",
    "doze",
    "drowsy",
    "fan_out",
    "fly",
    "judge",
    "observe",
    "one_by_one",
    "raise_newest",
    "raise_newest_by_peer",
    "raise_some",
    "rouse",
    "side_by_side",
    "stamp",
]

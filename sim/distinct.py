"""Distinct values of large arrays, by sorting.

``numpy.unique`` hashes since NumPy 2.3, which on regularly spaced integers such as
row numbers is many times slower than sorting them.
"""

import numpy as np

from patronus.engine.overlay import I64


def distinct(values: I64) -> I64:
    """Return the values that occur, ascending, each once."""
    ordered: I64 = np.sort(values)
    new = np.ones(len(ordered), dtype=np.bool_)
    new[1:] = ordered[1:] != ordered[:-1]
    return ordered[new]

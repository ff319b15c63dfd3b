"""Exposures that traffic was on.

An exposure is about a path, used or not. Pairs of sites that send nothing find out
about a bad line by few probes and harm nobody by it, so what is said about traffic
leaves them out and says how many there are.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

_PAIR: Final = ["site", "destination", "class"]


def carried(failovers: pd.DataFrame, series: pd.DataFrame) -> pd.DataFrame:
    """Return the exposures that traffic was on; all where no traffic is measured.

    Args:
        failovers: frame of exposures, columns ``run.FAILOVERS``.
        series: frame of flows by the second, columns ``run.SERIES``.
    """
    if not len(series) or not len(failovers):
        return failovers
    sent = series.loc[series["offered"] > 0, _PAIR].drop_duplicates()
    mine, theirs = (np.zeros(len(frame), dtype=np.int64) for frame in (failovers, sent))
    for name in _PAIR:
        known = pd.Index(sent[name].unique())
        mine = mine * (len(known) + 1) + _numbered(failovers[name], known)
        theirs = theirs * (len(known) + 1) + _numbered(sent[name], known)
    found = np.isin(mine, theirs)
    return failovers if found.all() else failovers[found]


def _numbered(names: "pd.Series[str]", known: "pd.Index[str]") -> npt.NDArray[np.int64]:
    """Return each name's place among known ones, and their number for a stranger."""
    # Numbers, since a million rows of text are slow to compare.
    several = names.astype("category").cat
    place = known.get_indexer(several.categories)[several.codes]
    return np.where(place < 0, len(known), place).astype(np.int64)

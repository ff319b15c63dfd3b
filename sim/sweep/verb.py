"""The verb ``sweep`` of the Python API."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from patronus.sim.folder import Where
from patronus.sim.language import Mistake, ScenarioError
from patronus.sim.language.loading import Draft, draft
from patronus.sim.sweep.axes import Axis, checked
from patronus.sim.sweep.grid import Grid
from patronus.sim.sweep.identity import identity
from patronus.sim.sweep.ledger import Ledger
from patronus.sim.sweep.study import Memory, Study, Told, finish, place

if TYPE_CHECKING:
    import pandas as pd


def sweep(
    files: Where | Sequence[Where],
    parameters: Mapping[str, Iterable[object]] | None = None,
    *,
    seeds: Iterable[int] | None = None,
    settings: Iterable[str] = (),
    folder: Where | None = None,
    workers: int | str = 1,
    until_ns: int | None = None,
    progress: Told | None = None,
) -> "pd.DataFrame":
    """Run scenarios under each combination of parameters and each seed.

    Args:
        files: a scenario file, or several.
        parameters: values by key, as ``--set`` has both: ``{"policy.hold": ["1s", "2s"]}``.
        seeds: each once; by default the scenarios' own.
        settings: the same for all points, as ``key.path=value``.
        folder: keeps finished points and the table; the same sweep goes on where it was
            stopped. Without one nothing is written.
        workers: how many processes, 1 is this one; or the address of a Dask scheduler whose
            workers are meant. Above 1, a script needs the usual ``if __name__ == "__main__":``
            since they are started afresh.
        until_ns: each run ends at this time of its scenario.
        progress: told how many points are finished, and of how many.

    Returns:
        A row a point, in a fixed order; ``docs/sweep.md`` tells the columns. The same
        whoever ran it.

    Raises:
        ScenarioError: a scenario has mistakes, or a parameter or value means nothing in it.
        GridError: (a ValueError) what is varied makes no sense.
        RoomError: a run needs more memory than there is.
        FolderError: the folder belongs to something else, or cannot be written.
        SweepError: Dask is not installed, or the cluster does not answer or went away.
    """
    several = files if isinstance(files, Sequence) and not isinstance(files, str) else [files]
    axes = [Axis(key, _words(values)) for key, values in (parameters or {}).items()]
    numbers = () if seeds is None else checked(seeds)
    grid = Grid(read(several), axes, numbers, settings=tuple(settings), until_ns=until_ns)
    witnesses = grid.witnesses()
    with ExitStack() as stack:
        store: Memory | Ledger = Memory()
        if folder is not None:
            store = stack.enter_context(Ledger(folder, grid.record(witnesses), identity()))
        study = Study(grid, store)
        if study.left:
            study.run(stack.enter_context(place(workers)), witnesses, progress)
        if isinstance(store, Ledger):
            finish(study, store)
        frame: pd.DataFrame = study.table().to_pandas()
    return frame


def read(files: Iterable[Where]) -> list[Draft]:
    """Return the drafts of scenario files.

    Raises:
        ScenarioError: with every mistake of files that cannot be read.
    """
    found: list[Draft] = []
    mistakes: list[Mistake] = []
    for file in files:
        try:
            found.append(draft(file))
        except ScenarioError as error:
            mistakes += error.mistakes
    if mistakes:
        raise ScenarioError(mistakes)
    return found


def _words(values: Iterable[object]) -> tuple[str, ...]:
    """Return values in the words of scenario files; JSON is YAML."""
    return tuple(v if isinstance(v, str) else json.dumps(v, allow_nan=False) for v in values)

"""Fill what an engine holds of other sites with rubbish: no kernel may read it."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from patronus.engine.engine import Engine

Array = npt.NDArray[Any]

CONFIGURED: Final = frozenset({"_carries", "_of_site", "_place", "slot", "_site_key"})
"""By site, and known everywhere: who carries, announces and runs what, and is called how."""

_KINDS: Final = ("Overlay", "Candidates", "Interpreter", "ClassColumns")
"""What these hold is the overlay and the policy, not what a site has found out."""


def poison(engine: Engine, site: int, rng: np.random.Generator) -> list[str]:
    """Overwrite each array as far as it stands for rows, entries or sites other than one's own.

    Returns:
        The names of the arrays that were filled.
    """
    overlay, space = engine.overlay, engine.space
    foreign = {
        overlay.rows: overlay.src != site,
        space.entries: np.arange(space.entries) // space.per_site != site,
        len(overlay.sites): np.arange(len(overlay.sites)) != site,
    }
    assert len(foreign) == 3, "rows, entries and sites are told apart by their numbers"
    filled = []
    for name, array in sorted(_arrays(engine, set()), key=lambda found: found[0]):
        size = max(array.shape, default=0)
        if size in foreign:
            place = (slice(None),) * array.shape.index(size) + (foreign[size],)
            array[place] = _rubbish(array[place], rng)
            filled.append(name)
    return filled


def _arrays(thing: object, seen: set[int], name: str = "") -> Iterator[tuple[str, Array]]:
    """Yield the arrays of the engine's parts, each once."""
    if id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        if name not in CONFIGURED and thing.flags.writeable:
            yield name, thing
    elif type(thing).__module__.startswith("patronus.engine") and type(thing).__name__ not in (
        _KINDS
    ):
        slots = [s for kind in type(thing).__mro__ for s in getattr(kind, "__slots__", ())]
        for inner in {*getattr(thing, "__dict__", ()), *slots}:
            yield from _arrays(getattr(thing, inner), seen, inner)


def _rubbish(array: Array, rng: np.random.Generator) -> Array:
    if array.dtype == np.bool_:
        return rng.integers(0, 2, array.shape).astype(np.bool_)
    kind = np.iinfo(array.dtype)
    values = [kind.min, kind.max, 0, 1, kind.max // 3]
    return np.array(values, dtype=array.dtype)[rng.integers(0, len(values), array.shape)]

"""A comparison as plain data, for JSON: durations in ns, infinite ones as "inf" and "-inf"."""

import math
from typing import Any

from patronus.sim.comparison import Change, Comparison, Divergence
from patronus.sim.metrics import CATALOGUE, Dimension
from patronus.sim.narrowing import Narrowing
from patronus.sim.statistics import Bounds

_UNITS = {Dimension.DURATION: "ns", Dimension.SHARE: "1", Dimension.SCORE: "MOS"}


def comparison_record(comparison: Comparison) -> dict[str, Any]:
    """Return what JSON can say of a comparison; ``docs/cli.md`` describes it."""
    divergences, pairing = comparison.divergences, comparison.pairing
    first = next(iter(divergences.items()), None)
    return {
        "seeds": [list(pair) for pair in comparison.seeds],
        "left_out": list(comparison.left_out),
        "same_luck": comparison.same_luck,
        "pairs": len(comparison.seeds),
        "pairs_with_equal_journals": len(comparison.seeds) - len(divergences),
        "first_difference": None if first is None else _divergence(*first),
        "exposures": {
            name: getattr(pairing, name)
            for name in ("faster", "slower", "equal", "only_a", "only_b")
        },
        "figures": [_figure(change) for change in comparison.changes],
    }


def _divergence(seed: int, divergence: Divergence) -> dict[str, Any]:
    sides = {"a": divergence.a, "b": divergence.b}
    return {
        "seed": seed,
        "index": divergence.index,
        "numbers_only": divergence.numbers_only,
        **{k: None if v is None else _decision(dict(v)) for k, v in sides.items()},
    }


def _decision(row: dict[str, Any]) -> dict[str, Any]:
    numbers = {name: int(value) for name, value in row.pop("numbers").items()}
    return {**{k: v if isinstance(v, str) else int(v) for k, v in row.items()}, "numbers": numbers}


def _figure(change: Change) -> dict[str, Any]:
    return {
        "name": change.name,
        "unit": _UNITS[CATALOGUE[change.query.metric].dimension],
        "a": _plain(change.a),
        "b": _plain(change.b),
        "difference": _plain(change.difference),
        "interval": _bounds(change.interval),
        "seeds": change.seeds,
        "narrowing": None if change.narrowing is None else _narrowing(change.narrowing),
    }


def _narrowing(narrowing: Narrowing) -> dict[str, Any]:
    return {
        "variance": _plain(narrowing.variance),
        "interval": _plain(narrowing.interval),
        "unpaired_interval": _bounds(narrowing.unpaired),
        "unpaired_by": "seeds of its own" if narrowing.simulated else "seeds re-paired",
    }


def _bounds(bounds: Bounds | None) -> list[Any] | None:
    return None if bounds is None else [_plain(bounds.lower), _plain(bounds.upper)]


def _plain(value: float | None) -> Any:
    if value is None or math.isfinite(value):
        return value
    return "inf" if value > 0 else "-inf"

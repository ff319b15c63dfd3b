"""The points of a sweep: each scenario under each combination of values and each seed.

Points are numbered: scenarios, then the first parameter, then the next … and seeds vary
fastest. A parameter value with which nothing can be loaded is a mistake of whoever asked
and is told before anything runs; a single combination that makes no scenario is a point
that fails, since its values work elsewhere.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cached_property
from itertools import islice, product
from math import prod
from typing import Any, Final, NamedTuple

from patronus.sim.crew import Orders
from patronus.sim.language import Mistake, ScenarioError
from patronus.sim.language.loading import Draft
from patronus.sim.language.settings import NAME
from patronus.sim.scenario import Scenario
from patronus.sim.sweep.axes import Axis, GridError

POINTS_MOST: Final = 1_000_000

_TRIES: Final = 32
"""Combinations that are tried with a value before it is taken for a mistake."""

PARAMETER: Final = "--param"
"""Stands where mistakes name a file."""

_ABOUT_PLACES: Final = frozenset({"path", "place", "line"})
"""Fields that tell where a scenario was read; they change nothing in it."""


class Point(NamedTuple):
    """One run of a sweep."""

    number: int
    case: int
    seed: int


class Case(NamedTuple):
    """A scenario with a value of each parameter, as positions."""

    draft: int
    values: tuple[int, ...]


class Grid:
    """All points of a sweep, by number."""

    def __init__(
        self,
        drafts: Sequence[Draft],
        axes: Sequence[Axis],
        seeds: Sequence[int],
        *,
        settings: Sequence[str] = (),
        until_ns: int | None = None,
    ) -> None:
        """Put a grid together; nothing is loaded yet.

        Args:
            drafts: the scenario files.
            axes: parameters, none twice.
            seeds: each once; none: the scenarios' own.
            settings: fixed ones, applied before the parameters.
            until_ns: each run ends at this time of the scenario.

        Raises:
            GridError: a parameter twice or set as well, no scenario, or too many points.
        """
        self.drafts, self.axes = tuple(drafts), tuple(axes)
        self.settings, self.until_ns = tuple(settings), until_ns
        self.seeds = tuple(seeds)
        self._check()

    def _check(self) -> None:
        keys = [axis.key for axis in self.axes]
        fixed = {setting.partition("=")[0] for setting in self.settings}
        for key in keys:
            if keys.count(key) > 1:
                raise GridError(f"`{key}` is varied twice; give all its values at once")
            if key in fixed:
                raise GridError(f"`{key}` is both set and varied")
        if not self.drafts:
            raise GridError("a sweep needs a scenario")
        if len(self) > POINTS_MOST:
            raise GridError(f"these are {len(self):,} points; a sweep has at most {POINTS_MOST:,}")

    def __len__(self) -> int:
        """Return how many points there are."""
        return self.cases * max(1, len(self.seeds))

    @property
    def cases(self) -> int:
        """How many cases there are."""
        return len(self.drafts) * self._combinations

    @cached_property
    def _combinations(self) -> int:
        return prod(len(axis.values) for axis in self.axes)

    def points(self, case: int) -> Iterator[Point]:
        """Yield the points of a case; without seeds of the sweep, its scenario's own as -1."""
        seeds = self.seeds or (-1,)
        for place, seed in enumerate(seeds):
            yield Point(case * len(seeds) + place, case, seed)

    def case(self, number: int) -> Case:
        """Return what a case is made of."""
        draft, rest = divmod(number, self._combinations)
        values = []
        for axis in reversed(self.axes):
            rest, value = divmod(rest, len(axis.values))
            values.append(value)
        return Case(draft, tuple(reversed(values)))

    def values(self, number: int) -> tuple[str, ...]:
        """Return the values of a case in the order of the axes, as written."""
        pairs = zip(self.axes, self.case(number).values, strict=True)
        return tuple(axis.values[value] for axis, value in pairs)

    def settings_of(self, number: int) -> tuple[str, ...]:
        """Return all settings of a case."""
        pairs = zip(self.axes, self.values(number), strict=True)
        return (*self.settings, *(f"{axis.key}={value}" for axis, value in pairs))

    def scenario(self, number: int) -> Scenario:
        """Return the scenario of a case.

        Raises:
            ScenarioError: its values do not go together; mistakes name the parameter.
        """
        try:
            return self.drafts[self.case(number).draft].scenario(self.settings_of(number))
        except ScenarioError as error:
            raise ScenarioError([self._told(m) for m in error.mistakes]) from error

    def orders(self, number: int) -> Orders:
        """Return what to run of a case; errors as of :meth:`scenario`."""
        return Orders(self.scenario(number), self.until_ns)

    def _told(self, mistake: Mistake) -> Mistake:
        fixed = len(self.settings)
        if mistake.file != NAME or mistake.line <= fixed:
            return mistake
        return replace(mistake, file=PARAMETER, line=mistake.line - fixed)

    # ------------------------------------------------------------ before anything runs

    def witnesses(self) -> list[Scenario]:
        """Return scenarios in which every value of every parameter stands at least once.

        Raises:
            ScenarioError: a scenario has mistakes, or there is a value with which none of
                the combinations tried makes a scenario; all such values together.
        """
        found: dict[int, Scenario] = {}
        mistakes: list[Mistake] = []
        for number in range(len(self.drafts)):
            mistakes += self._witness(number, {}, found)
            for place, axis in enumerate(self.axes):
                for value in range(len(axis.values)):
                    mistakes += self._witness(number, {place: value}, found)
        if mistakes:
            raise ScenarioError(mistakes)
        return list(found.values())

    def _witness(
        self, draft: int, fixed: Mapping[int, int], found: dict[int, Scenario]
    ) -> Sequence[Mistake]:
        """Find a case with some values, or return what is wrong with the first one."""
        first: Sequence[Mistake] = ()
        for values in islice(self._with(fixed), _TRIES):
            number = self._number(Case(draft, values))
            if number in found:
                return ()
            try:
                found[number] = self.scenario(number)
            except ScenarioError as error:
                first = first or error.mistakes
            else:
                return ()
        return first

    def _with(self, fixed: Mapping[int, int]) -> Iterator[tuple[int, ...]]:
        """Yield combinations with some values given, those first that differ in many others."""
        spans = [
            range(len(axis.values)) if place not in fixed else (fixed[place],)
            for place, axis in enumerate(self.axes)
        ]
        longest = max(map(len, spans), default=1)
        along = [tuple(s[i * len(s) // longest] for s in spans) for i in range(longest)]
        yield from along[: _TRIES // 2]
        yield from product(*spans)

    def _number(self, case: Case) -> int:
        number = 0
        for axis, value in zip(self.axes, case.values, strict=True):
            number = number * len(axis.values) + value
        return case.draft * self._combinations + number

    # ------------------------------------------------------------ what it is

    def record(self, witnesses: Sequence[Scenario]) -> dict[str, Any]:
        """Return what the grid is, for the folder of the sweep: equal exactly if its points are."""
        return {
            "scenarios": [draft.name for draft in self.drafts],
            "settings": list(self.settings),
            "parameters": [{"key": a.key, "values": list(a.values)} for a in self.axes],
            "seeds": list(self.seeds),
            "until_ns": self.until_ns,
            "sha256": digest(witnesses),
        }


def digest(scenarios: Sequence[Scenario]) -> str:
    """Return a fingerprint of what scenarios say, wherever they were read."""
    whole = [_plain(scenario) for scenario in scenarios]
    text = json.dumps(whole, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> object:
    if is_dataclass(value):
        told = {f.name: getattr(value, f.name) for f in fields(value)}
        return {k: _plain(v) for k, v in told.items() if k not in _ABOUT_PLACES}
    if isinstance(value, Mapping):
        return [[_plain(k), _plain(v)] for k, v in value.items()]
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    return value

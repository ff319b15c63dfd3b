"""Expectations: one line says which number, its limit, and how sure one wants to be.

::

    failover.p99 < 300ms
    class.voice.mos.p05 >= 3.8 for site=spoke*
    failover.p99 < 150ms @ 95% for class=voice fault=cut

    line      = metric relation limit [ "@" share ] [ "for" { key "=" pattern { "," pattern } } ]
    metric    = [ "class" "." name "." ] word [ "." aggregate ]
    relation  = "<" | "<=" | ">" | ">=" | "==" | "!="

Names with odd characters stand in double quotes, a quote in them is doubled. ``@`` and
``for`` may change places. ``docs/expectations.md`` tells what a line means.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Final, NoReturn

from patronus.sim.metrics import (
    CATALOGUE,
    Dimension,
    Metric,
    Query,
    is_percentile,
    matches,
    percentile_ppm,
)


class ExpectationError(ValueError):
    """A line that cannot be understood, in the terms of a scenario's mistakes."""

    def __init__(
        self, what: str, expected: str = "", suggestion: str = "", column: int = 1, width: int = 1
    ) -> None:
        self.what = what
        self.expected = expected
        self.suggestion = suggestion
        self.column = column
        """Place in the line, from 1."""
        self.width = width
        parts = [what, f"expected {expected}" if expected else "", suggestion]
        super().__init__("; ".join(part for part in parts if part))


class Relation(StrEnum):
    """How the measured value must stand to the limit."""

    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    EQUAL = "=="
    UNEQUAL = "!="

    def holds(self, value: float, limit: float) -> bool:
        """Tell whether a value meets a limit."""
        match self:
            case Relation.LESS:
                return value < limit
            case Relation.AT_MOST:
                return value <= limit
            case Relation.MORE:
                return value > limit
            case Relation.AT_LEAST:
                return value >= limit
            case Relation.EQUAL:
                return value == limit
            case Relation.UNEQUAL:
                return value != limit

    @property
    def wants_low(self) -> bool:
        """Whether large values are the bad ones."""
        return self in (Relation.LESS, Relation.AT_MOST)

    @property
    def ordered(self) -> bool:
        """Whether one side of the limit is better than the other."""
        return self not in (Relation.EQUAL, Relation.UNEQUAL)


UNITS: Final[Mapping[Dimension, Mapping[str, Decimal]]] = {
    Dimension.DURATION: {
        "ns": Decimal(1), "us": Decimal(10**3), "ms": Decimal(10**6), "s": Decimal(10**9),
        "m": Decimal(60 * 10**9), "h": Decimal(3600 * 10**9),
    },
    Dimension.SHARE: {"%": Decimal("0.01"), "ppm": Decimal("0.000001")},
    Dimension.SCORE: {"": Decimal(1)},
    Dimension.COUNT: {"": Decimal(1)},
}  # fmt: skip
"""What one of each unit is, in the unit of the dimension; the units of the scenario language."""

_EXAMPLES: Final = {
    Dimension.DURATION: "a duration such as 300ms or 1.5s",
    Dimension.SHARE: "a share such as 0.1% or 500ppm",
    Dimension.SCORE: "a score between 1 and 5 such as 4.0",
    Dimension.COUNT: "a whole number",
}


@dataclass(frozen=True, slots=True)
class Limit:
    """The number on the right, as it was written."""

    number: Decimal
    unit: str
    dimension: Dimension

    @property
    def value(self) -> float:
        """In the unit of the dimension."""
        return float(self.number * UNITS[self.dimension][self.unit])

    def __str__(self) -> str:
        return f"{self.number:f}{self.unit}"


@dataclass(frozen=True, slots=True)
class Expectation:
    """One parsed line; ``str`` gives its canonical form, which parses to an equal one."""

    query: Query
    relation: Relation
    limit: Limit
    confidence: Decimal | None = None
    """Per cent; None: a statement about the runs that were made."""

    def holds(self, value: float) -> bool:
        """Tell whether a value meets the limit."""
        return self.relation.holds(value, self.limit.value)

    def __str__(self) -> str:
        query = self.query
        path = ["class", _quote(query.traffic_class, _PART)] if query.traffic_class else []
        path += [query.metric, query.aggregate] if query.aggregate else [query.metric]
        words = [".".join(path), str(self.relation), str(self.limit)]
        if self.confidence is not None:
            words.append(f"@ {self.confidence}%")
        if query.select:
            words.append("for")
        for key, patterns in query.select:
            words.append(f"{key}=" + ",".join(_quote(p, _PATTERN) for p in patterns))
        return " ".join(words)


Names = Mapping[str, Collection[str]]
"""The names that exist, by key (``site``, ``class`` …); keys left out are not checked."""


def parse(text: str, names: Names | None = None) -> Expectation:
    """Read one line of ``expect``.

    Args:
        text: the line.
        names: if given, every class, site, fault … named in the line must be among them.

    Raises:
        ExpectationError: (a ValueError) with what was expected and, if one is near, a suggestion.
    """
    return _Reader(text, names or {}).line()


_QUOTED: Final = r'"(?:[^"]|"")*"'
_PART: Final = re.compile(r'[^\s."<>=!@]+')
_PATTERN: Final = re.compile(r'[^\s",=@]+')
_WORDS: Final = {
    "path": re.compile(rf"(?:{_QUOTED}|{_PART.pattern})(?:\.(?:{_QUOTED}|{_PART.pattern}))*"),
    "part": re.compile(rf"{_QUOTED}|{_PART.pattern}"),
    "relation": re.compile(r"[<>=!]+"),
    "number": re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)([^\s@]*)"),
    "at": re.compile(r"@"),
    "percent": re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,4})?)%(?!\S)"),
    "for": re.compile(r"for(?!\S)"),
    "key": re.compile(r"([^\s=@\",]+)\s*=(?!=)\s*"),
    "pattern": re.compile(rf"{_QUOTED}|{_PATTERN.pattern}"),
    "comma": re.compile(r"\s*,\s*"),
    "word": re.compile(r"\S+"),
}


_PERCENTILE: Final = re.compile(r"p0*(100(\.0{1,2})?|[0-9]{1,2}(\.[0-9]{1,2})?)")


def _one_of(words: Collection[str]) -> str:
    """Return the words that are allowed, at most twenty of them."""
    shown = ", ".join(list(words)[:20])
    return shown if len(words) <= 20 else f"{shown}, … ({len(words)} in all)"


def _quoted(text: str) -> str:
    """Return a user's text for a message: short, and unable to steer a terminal."""
    return "`" + "".join(c if c.isprintable() else "�" for c in text[:60]) + "`"


def _did_you_mean(word: str, known: Collection[str]) -> str:
    """Return a question for the nearest known word, "" when none is near."""
    from difflib import get_close_matches  # only paid for when something is wrong

    near = get_close_matches(word[:60], known, n=1, cutoff=0.5)
    return f"did you mean `{near[0]}`?" if near else ""


def _quote(name: str, plain: re.Pattern[str]) -> str:
    return name if plain.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def _unquote(word: str) -> str:
    return word[1:-1].replace('""', '"') if word.startswith('"') else word


class _Reader:
    """Reads from left to right; every mistake knows its place."""

    def __init__(self, text: str, names: Names) -> None:
        self.text = text
        self.names = names
        self.at = 0
        self.start = 0

    def line(self) -> Expectation:
        traffic_class, metric, aggregate = self.subject()
        relation = self.relation()
        limit = self.limit(Dimension.COUNT if aggregate == "count" else metric.dimension)
        confidence, select = self.conditions(metric, traffic_class)
        query = Query(metric.name, aggregate, traffic_class, select)
        if confidence is not None and is_percentile(aggregate) and not relation.ordered:
            self.fail(
                f"a percentile of new seeds is never exactly `{limit}`",
                suggestion="with `@` write <, <=, > or >=",
            )
        return Expectation(query, relation, limit, confidence)

    def take(self, kind: str) -> re.Match[str] | None:
        spaces = re.compile(r"\s*").match(self.text, self.at)
        at = spaces.end() if spaces else self.at
        found = _WORDS[kind].match(self.text, at)
        if found:
            self.start, self.at = at, found.end()
        return found

    def fail(self, what: str, expected: str = "", suggestion: str = "") -> NoReturn:
        width = max(1, self.at - self.start)
        raise ExpectationError(what, expected, suggestion, self.start + 1, width)

    def unexpected(self, expected: str, suggestion: str = "") -> NoReturn:
        word = self.take("word")
        if word is None:
            self.start = self.at = len(self.text)
            self.fail("the line ends too early", expected, suggestion)
        self.fail(f"unexpected {_quoted(word[0])}", expected, suggestion)

    def subject(self) -> tuple[str, Metric, str]:
        path = self.take("path")
        if path is None:
            self.unexpected("a metric such as failover.p99 or class.voice.loss")
        parts = [_unquote(m[0]) for m in _WORDS["part"].finditer(path[0])]
        if parts[0] != "class":
            return self.metric("", parts)
        if len(parts) < 3 or not parts[1]:
            some = next(iter(self.names.get("class", ())), "voice")
            self.fail(
                f"{_quoted(path[0])} does not say what of which class",
                "class.NAME.METRIC", f"for example `class.{some}.loss`",
            )  # fmt: skip
        self.known("class", (parts[1],))
        return self.metric(parts[1], parts[2:])

    def metric(self, traffic_class: str, parts: list[str]) -> tuple[str, Metric, str]:
        word, rest = parts[0], ".".join(parts[1:])
        metric = CATALOGUE.get(word)
        if metric is None:
            fitting = [m.name for m in CATALOGUE.values() if bool(traffic_class) in m.scoped]
            near = _did_you_mean(word, fitting)
            self.fail(f"unknown metric {_quoted(word)}", f"one of {_one_of(fitting)}", near)
        if bool(traffic_class) not in metric.scoped:
            tail = f"{word}.{rest}" if rest else word
            here = tail if traffic_class else f"class.NAME.{tail}"
            scope = "the whole run, not a class" if traffic_class else "one class"
            self.fail(f"`{word}` is measured for {scope}", suggestion=f"write `{here}`")
        shown = f"class.{_quote(traffic_class, _PART)}.{word}" if traffic_class else word
        return traffic_class, metric, self.aggregate(metric, rest, shown)

    def aggregate(self, metric: Metric, word: str, shown: str) -> str:
        if not word and metric.plain:
            return ""
        if word in metric.aggregates and word != "p":
            return word
        if "p" in metric.aggregates and _PERCENTILE.fullmatch(word):
            return _percentile(word)
        exist = _one_of(["p0 … p100" if name == "p" else name for name in metric.aggregates])
        if not exist:
            self.fail(f"`{shown}` takes no aggregate", suggestion=f"write `{shown}`")
        if not word:
            self.fail(f"`{shown}` needs an aggregate", exist, f"for example `{shown}.p99`")
        near = _did_you_mean(word, [name for name in metric.aggregates if name != "p"])
        what = f"`{shown}` has no aggregate {_quoted(word)}"
        return self.fail(what, f"one of {exist}", near)

    def relation(self) -> Relation:
        found = self.take("relation")
        expected = f"one of {_one_of([str(r) for r in Relation])}"
        if found is None:
            self.unexpected(expected)
        if found[0] not in set(map(str, Relation)):
            near = {"=": "==", "=<": "<=", "=>": ">=", "<>": "!=", "!": "!="}.get(found[0], "")
            help_ = f"write `{near}`" if near else ""
            self.fail(f"{_quoted(found[0])} is no comparison", expected, help_)
        return Relation(found[0])

    def limit(self, dimension: Dimension) -> Limit:
        found = self.take("number")
        if found is None:
            self.unexpected(_EXAMPLES[dimension])
        digits, unit = found[1], found[2]
        units = UNITS[dimension]
        if unit not in units:
            what = f"unknown unit {_quoted(unit)}" if unit else f"{_quoted(digits)} has no unit"
            if "" in units:
                what = f"{_quoted(found[0])} is not {_EXAMPLES[dimension]}"
            some = next(iter(units)) if dimension is not Dimension.DURATION else "ms"
            near = _did_you_mean(unit, units) if unit else f"write `{digits}{some}`"
            self.fail(what, _EXAMPLES[dimension], near)
        if dimension is Dimension.COUNT and "." in digits:
            self.fail(f"{_quoted(digits)} is not a whole number", _EXAMPLES[dimension])
        return Limit(Decimal(digits), unit, dimension)

    def conditions(
        self, metric: Metric, traffic_class: str
    ) -> tuple[Decimal | None, tuple[tuple[str, tuple[str, ...]], ...]]:
        confidence: Decimal | None = None
        select: dict[str, tuple[str, ...]] = {}
        while self.text[self.at :].strip():
            if confidence is None and self.take("at"):
                confidence = self.confidence()
            elif not select and self.take("for"):
                select = self.selection(metric, traffic_class)
            else:
                self.unexpected("`@ 95%`, `for site=…`, or the end of the line")
        return confidence, tuple(select.items())

    def confidence(self) -> Decimal:
        found = self.take("percent")
        if found is None:
            self.unexpected("a confidence such as 95%")
        confidence = Decimal(found[1])
        if not 50 <= confidence < 100:
            self.fail(
                f"{_quoted(found[0])} is no confidence", "from 50% to below 100%", "write `95%`"
            )
        return confidence

    def selection(self, metric: Metric, traffic_class: str) -> dict[str, tuple[str, ...]]:
        keys = [k for k in metric.keys if not (traffic_class and k == "class")]
        if not keys:
            self.fail(f"`{metric.name}` counts the whole run and cannot be narrowed by `for`")
        select: dict[str, tuple[str, ...]] = {}
        while found := self.take("key"):
            key = found[1]
            if key not in keys:
                near = _did_you_mean(key, keys)
                what = f"`{metric.name}` cannot be narrowed by {_quoted(key)}"
                self.fail(what, f"one of {_one_of(keys)}", near)
            if key in select:
                self.fail(f"`{key}` is given twice", suggestion=f"write `{key}=A,B`")
            select[key] = self.patterns(key)
        if not select:
            self.unexpected(f"KEY=NAME with one of {_one_of(keys)}")
        return select

    def patterns(self, key: str) -> tuple[str, ...]:
        found: list[str] = []
        while not found or self.take("comma"):
            word = self.take("pattern")
            if word is None:
                self.unexpected(f"a name or pattern for `{key}`")
            found.append(_unquote(word[0]))
            self.known(key, found[-1:])
        return tuple(found)

    def known(self, key: str, patterns: Collection[str]) -> None:
        if key not in self.names:
            return
        exist = sorted(self.names[key])
        for pattern in patterns:
            # The occurrences of a fault are not known before the run.
            plain = pattern.rpartition("#")[0] if key == "fault" and "#" in pattern else pattern
            if not any(matches(key, name, (pattern, plain)) for name in exist):
                near = _did_you_mean(pattern, exist)
                self.fail(f"no {key} matches {_quoted(pattern)}", f"one of {_one_of(exist)}", near)


def _percentile(word: str) -> str:
    # p05, p5 and p5.0 are one and the same; this one is written.
    whole, rest = divmod(percentile_ppm(word), 10_000)
    return f"p{whole}.{rest:04d}".rstrip("0").rstrip(".") if rest else f"p{whole}"

"""Goldens: what a scenario did when somebody last looked at it and agreed.

A golden is a short JSON file beside the scenario, made to be read in a review: the
first decisions, one a line; the percentiles; the checks; both fingerprints. Of the
decisions beyond, a digest of each stretch is kept, so a difference among them
can still be placed.

A line of a decision ends in ``#`` and four digits of a digest of its numbers, so a
change of the numbers alone is found at its decision too.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from hashlib import sha256
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final

from patronus.engine.journal import Decision, read
from patronus.engine.units import SECOND
from patronus.sim.language.loading import stem
from patronus.sim.run import Run
from patronus.sim.whole import put

VERSION: Final = 1
LINES_MOST: Final = 200
"""A longer golden would not be read."""

_SHOWN: Final = 100
"""Decisions in full."""

_STRETCHES: Final = 20

_DURATIONS: Final = ("detection_ms", "switch_ms", "failover_ms", "outage_ms", "degraded_ms")
_CLASSES: Final = 40


class GoldenError(Exception):
    """A golden that cannot be read or written; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Golden:
    """One golden; field by field what the file holds."""

    version: int
    name: str
    seed: int
    decisions_sha256: str
    journal_sha256: str
    decisions: int
    """How many in all."""
    checks: Mapping[str, int]
    percentiles: Mapping[str, Mapping[str, float | None]]
    """By duration: {n, p50, p95, p99, max, never}, null where never reached."""
    classes: Mapping[str, Mapping[str, int]]
    """By class: {offered, lost}."""
    first: Sequence[str]
    """The first decisions, one a line."""
    beyond: Sequence[str]
    """``from-to digest`` of each stretch of the others; positions count from 1."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from one golden to another."""

    where: tuple[str, ...]
    """The first differing decision in words; empty if no decision differs."""
    figures: tuple[tuple[str, str, str], ...]
    """(figure, then, now) of every figure that changed."""

    def __bool__(self) -> bool:
        return bool(self.where or self.figures)


def golden_path(scenario: str) -> Path:
    """Return where the golden of a scenario file lies: beside it."""
    return Path(scenario).with_name(f"{stem(scenario)}.golden.json")


def golden_of(run: Run) -> Golden:
    """Return the golden of a run."""
    summary = run.summary
    decisions = list(read(run.journal))
    classes = dict(list(summary["classes"].items())[:_CLASSES])
    return Golden(
        version=VERSION,
        name=run.name,
        seed=run.seed,
        decisions_sha256=summary["decisions_sha256"],
        journal_sha256=summary["journal_sha256"],
        decisions=len(decisions),
        checks={k: int(v) for k, v in {**summary["checks"], **_alarms(summary)}.items()},
        percentiles={name: dict(summary[name]) for name in _DURATIONS},
        classes={n: {k: int(c[k]) for k in ("offered", "lost")} for n, c in classes.items()},
        first=[line_of(decision) for decision in decisions[:_SHOWN]],
        beyond=list(_digests(decisions)),
    )


def _alarms(summary: Mapping[str, Any]) -> dict[str, int]:
    return {"false_alarms": summary["false_alarms"]}


def line_of(decision: Decision) -> str:
    """Return a decision as a line of a golden."""
    d = decision
    when = f"{d.t_ns // SECOND}.{d.t_ns % SECOND:09d} s"
    path = f"{d.from_path or 'no path'} -> {d.to_path or 'no path'}"
    numbers = _digest(json.dumps(sorted(d.numbers)), 4)
    return f"{when}  {d.site} to {d.destination}, {d.traffic_class}: {path}, {d.reason} #{numbers}"


def _digests(decisions: Sequence[Decision]) -> Iterator[str]:
    rest = len(decisions) - _SHOWN
    size = max(1, -(-rest // _STRETCHES))
    for start in range(_SHOWN, len(decisions), size):
        lines = [line_of(decision) for decision in decisions[start : start + size]]
        yield f"{start + 1}-{start + len(lines)} {_digest(chr(10).join(lines), 12)}"


def _digest(text: str, digits: int) -> str:
    return sha256(text.encode()).hexdigest()[:digits]


def write_golden(golden: Golden, path: Path) -> None:
    """Write a golden: a figure or a decision a line.

    Raises:
        GoldenError: it cannot be written.
    """
    try:
        put(path, render(golden).encode())
    except OSError as error:
        raise GoldenError(f"cannot write {path}: {error.strerror}") from error


def render(golden: Golden) -> str:
    """Return the text of a golden's file."""
    items = [f"{_json(key)}: {_value(value)}" for key, value in asdict(golden).items()]
    return "{\n" + ",\n".join(items) + "\n}\n"


def _value(value: object) -> str:
    nested = isinstance(value, Mapping) and any(isinstance(v, Mapping) for v in value.values())
    if isinstance(value, Mapping) and nested:
        inner = [f"  {_json(key)}: {_json(part)}" for key, part in value.items()]
        return "{\n" + ",\n".join(inner) + "\n}"
    if isinstance(value, list) and value:
        return "[\n" + ",\n".join(f"  {_json(part)}" for part in value) + "\n]"
    return _json(value)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def read_golden(path: Path) -> Golden | None:
    """Return a golden, None if there is none.

    Raises:
        GoldenError: the file is not a golden, or one of another version.
    """
    try:
        loaded = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise GoldenError(f"cannot read {path}: {error}") from error
    names = {field.name for field in fields(Golden)}
    if not isinstance(loaded, dict) or set(loaded) != names:
        raise GoldenError(f"{path} is not a golden")
    if loaded["version"] != VERSION:
        raise GoldenError(f"{path} is a golden of version {loaded['version']}, not {VERSION}")
    return Golden(**loaded)


def compare(then: Golden, now: Golden) -> Difference:
    """Return what changed between two goldens of one scenario."""
    return Difference(tuple(_first_difference(then, now)), tuple(_figures(then, now)))


def _first_difference(then: Golden, now: Golden) -> Iterator[str]:
    if then.journal_sha256 == now.journal_sha256:
        return
    if then.seed != now.seed:
        yield f"the seed was {then.seed} and is {now.seed}"
    for part, what in ((_decision, "decision"), (str, "numbers of decision")):
        for number, (old, new) in enumerate(zip_longest(then.first, now.first), start=1):
            if (old and part(old)) != (new and part(new)):
                yield f"the first difference is in {what} {number}"
                yield f"  was: {old or 'no further decision'}"
                yield f"  is:  {new or 'no further decision'}"
                return
    yield _among_the_others(then, now)


def _decision(line: str) -> str:
    return line.rpartition(" #")[0]


def _among_the_others(then: Golden, now: Golden) -> str:
    shown = len(then.first)
    if then.decisions != now.decisions:
        counts = f"{then.decisions} decisions were made, now {now.decisions}"
        return f"the first {shown} decisions are equal; {counts}"
    for old, new in zip(then.beyond, now.beyond, strict=False):
        if old != new:
            place = new.partition(" ")[0]
            return f"the first difference is among the decisions {place}, which are not kept"
    return "the decisions are equal, but their fingerprint is not"


def _figures(then: Golden, now: Golden) -> Iterator[tuple[str, str, str]]:
    old, new = dict(_flat(then)), dict(_flat(now))
    for name in {**old, **new}:
        if old.get(name) != new.get(name):
            yield name, _shown(old, name), _shown(new, name)


def _flat(golden: Golden) -> Iterator[tuple[str, float | None]]:
    yield "decisions", golden.decisions
    for group in (golden.percentiles, golden.classes):
        for name, figures in group.items():
            for key, value in figures.items():
                yield f"{name.removesuffix('_ms')} {key}", value
    for name, value in golden.checks.items():
        yield name, value


def _shown(figures: Mapping[str, float | None], name: str) -> str:
    if name not in figures:
        return "-"
    value = figures[name]
    if value is None:
        return "never"
    in_ms = name.endswith((" p50", " p95", " p99", " max"))
    return f"{value:,.6g} ms" if in_ms else f"{value:,}"

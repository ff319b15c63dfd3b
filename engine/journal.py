"""The decision journal: what was decided, when, and by which numbers.

One decision is one line of canonical JSON: sorted keys, integers and ASCII only,
no blanks, a schema version. Equal decisions have equal bytes, so two fingerprints
stand for a run:

    decisions_sha256   the lines without their numbers
    journal_sha256     the lines as they are; equal to the SHA-256 of the file

Golden tests, replay, "why this path?" and the report are readers of these lines.
The journal keeps no history: each line goes to a sink, only the hashes stay.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

SCHEMA_VERSION: Final = 1

LINE_BYTES_MAX: Final = 65_536
"""No honest line comes near this; a longer one is refused unread."""

_INT64_MIN: Final = -(2**63)


class Reason(StrEnum):
    """Why an entry moved."""

    START = "start"
    LIVENESS_DOWN = "liveness_down"
    CARRIER_LOST = "carrier_lost"
    BROWNOUT = "brownout"
    SLA_VIOLATED = "sla_violated"
    MTU_LOWERED = "mtu_lowered"
    """The path carries no packets of the size that the class needs any more."""
    BETTER_PATH = "better_path"
    RETURNED = "returned"
    WITHDRAWN = "withdrawn"
    """The destination site no longer announces it, or its LAN side is dead."""
    TRANSIT_LOST = "transit_lost"
    """The site in between no longer reaches the destination directly."""
    DRAINED = "drained"
    UNDRAINED = "undrained"
    NO_PATH = "no_path"
    KERNEL_MOVED = "kernel_moved"
    POLICY_CHANGED = "policy_changed"
    BACKUPS_CHANGED = "backups_changed"
    """The path stays; what stands ready behind it is new."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One entry chose a path."""

    t_ns: int
    site: str
    destination: str
    traffic_class: str
    from_path: str
    """``transport>dest`` direct, ``transport>via>dest`` transit, empty for none."""
    to_path: str
    reason: Reason
    numbers: tuple[tuple[str, int], ...] = ()
    """The integers and thresholds that decided, each name once, in any order."""


class JournalError(ValueError):
    """A line is not a canonical decision; the message names the line and the fault."""


class DecisionJournal:
    """Writes decisions in order of time and fingerprints them on the way."""

    __slots__ = ("_decisions", "_journal", "_sink", "count", "last_ns")

    def __init__(self, sink: Callable[[bytes], object] | None = None) -> None:
        """Create an empty journal.

        Args:
            sink: called with each line (no newline at its end), e.g. ``list.append``.
        """
        self._decisions = sha256()
        self._journal = sha256()
        self._sink = sink
        self.count = 0
        self.last_ns = _INT64_MIN

    def append(self, decision: Decision) -> None:
        """Add one decision.

        Raises:
            ValueError: it is older than the last one, a number is not an integer,
                or a name of its numbers occurs twice.
        """
        if decision.t_ns < self.last_ns:
            raise ValueError(f"a decision of {decision.t_ns} ns after one of {self.last_ns} ns")
        head, numbers, tail = _pieces(decision)
        line = f"{head}{numbers}{tail}".encode("ascii")
        self._decisions.update(f"{head}{tail}\n".encode("ascii"))
        self._journal.update(line + b"\n")
        self.count += 1
        self.last_ns = decision.t_ns
        if self._sink is not None:
            self._sink(line)

    @property
    def decisions_sha256(self) -> str:
        """Fingerprint of what was decided, so far."""
        return self._decisions.hexdigest()

    @property
    def journal_sha256(self) -> str:
        """Fingerprint of what was decided and by which numbers, so far."""
        return self._journal.hexdigest()


def encode(decision: Decision) -> bytes:
    """Return the canonical line of a decision, without newline."""
    return "".join(_pieces(decision)).encode("ascii")


# Written out instead of json.dumps: a run makes 10^5 decisions, and this is four times
# as quick. Names repeat, so their JSON form is remembered.
_quote = lru_cache(maxsize=65_536)(json.dumps)


def _pieces(decision: Decision) -> tuple[str, str, str]:
    d = decision
    head = (
        f'{{"class":{_quote(d.traffic_class)},"destination":{_quote(d.destination)},'
        f'"from":{_quote(d.from_path)},'
    )
    tail = (
        f'"reason":"{d.reason.value}","site":{_quote(d.site)},"t_ns":{d.t_ns:d},'
        f'"to":{_quote(d.to_path)},"v":{SCHEMA_VERSION}}}'
    )
    if not d.numbers:
        return head, '"numbers":{},', tail
    names, values = zip(*d.numbers, strict=True)
    return head, _numbers_template(names).format(*values), tail


@lru_cache(maxsize=1024)
def _numbers_template(names: tuple[str, ...]) -> str:
    # "{3:d}" refuses floats, and prints NumPy integers and booleans as integers.
    if len(set(names)) != len(names):
        raise ValueError(f"a name occurs twice in the numbers {names}")
    order = sorted(range(len(names)), key=names.__getitem__)
    quoted = (json.dumps(names[i]).replace("{", "{{").replace("}", "}}") for i in order)
    inner = ",".join(f"{name}:{{{i}:d}}" for name, i in zip(quoted, order, strict=True))
    return f'"numbers":{{{{{inner}}}}},'


def read(lines: Iterable[bytes]) -> Iterator[Decision]:
    """Parse journal lines (with or without newline) one by one.

    Whatever the bytes are, the only error is the documented one. A line must be
    canonical, so what was read hashes to what was written.

    Raises:
        JournalError: at the first line that is not a canonical decision.
    """
    for number, line in enumerate(lines, start=1):
        try:
            yield _parse(line.removesuffix(b"\n"))
        except JournalError as error:
            raise JournalError(f"line {number}: {error}") from None


_FIELDS: Final[dict[str, type]] = {
    "class": str,
    "destination": str,
    "from": str,
    "numbers": dict,
    "reason": str,
    "site": str,
    "t_ns": int,
    "to": str,
    "v": int,
}

_REASONS: Final = frozenset(reason.value for reason in Reason)


def _parse(line: bytes) -> Decision:
    record = _load(line)
    if record["v"] != SCHEMA_VERSION:
        raise JournalError(f"schema version {record['v']}, expected {SCHEMA_VERSION}")
    if record["reason"] not in _REASONS:
        raise JournalError(f"unknown reason {record['reason']!r}")
    integers = (record["t_ns"], *record["numbers"].values())
    if any(type(n) is not int or not _INT64_MIN <= n < -_INT64_MIN for n in integers):
        raise JournalError("a number is not a 64-bit integer")
    decision = Decision(
        t_ns=record["t_ns"],
        site=record["site"],
        destination=record["destination"],
        traffic_class=record["class"],
        from_path=record["from"],
        to_path=record["to"],
        reason=Reason(record["reason"]),
        numbers=tuple(record["numbers"].items()),
    )
    if encode(decision) != line:
        raise JournalError("not in canonical form")
    return decision


def _load(line: bytes) -> dict[str, Any]:
    if len(line) > LINE_BYTES_MAX:
        raise JournalError(f"longer than {LINE_BYTES_MAX} bytes")
    try:
        record = json.loads(line.decode("ascii"))
    except (ValueError, RecursionError):
        raise JournalError("not ASCII JSON") from None
    if type(record) is not dict or record.keys() != _FIELDS.keys():
        raise JournalError(f"expected an object with exactly the keys {', '.join(_FIELDS)}")
    for name, kind in _FIELDS.items():
        if type(record[name]) is not kind:
            raise JournalError(f"{name!r} must be of type {kind.__name__}")
    return record

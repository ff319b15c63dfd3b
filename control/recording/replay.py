"""Replay: the inputs of a recording go to a new engine, and its decisions are compared.

Nothing of a clock, a socket or a kernel is needed; a year-old recording decides as it did,
or the first difference says what has changed since.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from patronus.control.recording import recorder, snapshot
from patronus.control.recording.codec import Unpacker
from patronus.control.recording.frames import Frames, RecordingError
from patronus.control.recording.plain import overlay_of, policy_of
from patronus.control.recording.verbs import apply, unpack
from patronus.engine.engine import Engine

HEAD_FIELDS: Final = {
    "format": int, "number": int, "sites": list, "patronus": str, "python": str, "numpy": str,
    "overlay_sha256": str, "policy_sha256": str, "state_sha256": str,
}  # fmt: skip


_REFUSALS: Final = (ValueError, LookupError, TypeError, ArithmeticError, AssertionError)
"""What an engine raises when it is told something that makes no sense."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a replay parts from its recording."""

    number: int
    """Of the input, counted from 1."""
    verb: str
    now_ns: int | None
    """Of the input, None where it has no single time."""
    what: str
    recorded: str
    replayed: str


@dataclass(slots=True)
class Replay:
    """What came of one file."""

    head: dict[str, Any]
    inputs: int = 0
    decisions: int = 0
    first_ns: int | None = None
    last_ns: int | None = None
    torn: bool = False
    """The file ends in the middle of a frame, or before its end."""
    journal_sha256: str = ""
    """Of the decisions that were replayed."""
    state_sha256: str = ""
    """Of the engine's state at the end; "" where the file was not ended in good order."""
    difference: Difference | None = None


def replay(path: Path) -> Replay:
    """Replay one file up to its end, or up to the first difference.

    Raises:
        RecordingError: it is no sound recording.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        frames = Frames(file)
        records = _records(frames)
        player = _Player(records)
        for kind, data in records:
            if not player.take(kind, data):
                break
        return player.finish(torn=frames.torn)


def _records(frames: Frames) -> Iterator[tuple[int, bytes]]:
    for payload in frames:
        if not payload:
            raise RecordingError("an empty frame")
        yield payload[0], payload[1:]


@dataclass(slots=True)
class _Expected:
    """What the new engine has said since the last input."""

    lines: list[bytes] = field(default_factory=list)

    def take(self) -> bytes:
        """Return the lines as they would be recorded, and forget them."""
        lines = b"".join(line + b"\n" for line in self.lines)
        self.lines.clear()
        return lines


class _Player:
    """Tells an engine what a recording holds; stops at the first difference."""

    def __init__(self, records: Iterator[tuple[int, bytes]]) -> None:
        self.outcome = Replay(_head(_next(records, recorder.HEAD)))
        overlay, policy, state = (
            self._part(_next(records, kind), name)
            for kind, name in (
                (recorder.OVERLAY, "overlay"), (recorder.POLICY, "policy"),
                (recorder.STATE, "state"),
            )
        )  # fmt: skip
        self._said = _Expected()
        try:
            self._engine = Engine(
                overlay_of(overlay), policy_of(policy), sink=self._said.lines.append
            )
        except _REFUSALS as error:
            raise RecordingError(f"no engine can be made of it: {error}") from None
        snapshot.restore(self._engine, state)
        self._journal = sha256()
        self._raised = ""
        """What the new engine raised upon the last input, if that was not recorded yet."""
        self._verb = ""
        self._now_ns: int | None = None
        self._open = self._ended = False

    def _part(self, data: bytes, name: str) -> bytes:
        if sha256(data).hexdigest() != self.outcome.head[f"{name}_sha256"]:
            raise RecordingError(f"the {name} is not the one that its head names")
        return data

    def take(self, kind: int, data: bytes) -> bool:
        """Take one record; return whether to go on."""
        if self._ended:
            raise RecordingError("it goes on after its end")
        if kind == recorder.REFUSAL:
            self._refused(data)
        elif self._raised:
            self._differ("outcome", "the engine went on", self._raised)
        elif kind == recorder.DECISIONS:
            self._compare(data)
        elif kind == recorder.INPUT:
            self._compare(b"")
            if self.outcome.difference is None:
                self._input(data)
        elif kind == recorder.OUTPUT:
            self._compare(b"")
            self._output(data)
        elif kind == recorder.END:
            self._compare(b"")
            self._end(data)
        else:
            raise RecordingError("a record of an unknown kind")
        return self.outcome.difference is None

    def finish(self, *, torn: bool) -> Replay:
        """Return what came of it; the decisions of an input that was cut short are not judged."""
        if self._raised and self.outcome.difference is None:
            self._differ("outcome", "", self._raised)
        self.outcome.torn = torn or not (self._ended or self.outcome.difference)
        self.outcome.journal_sha256 = self._journal.hexdigest()
        return self.outcome

    def _input(self, data: bytes) -> None:
        self._verb, arguments = unpack(data)
        self._now_ns = _time(arguments)
        outcome = self.outcome
        outcome.inputs += 1
        if self._now_ns is not None:
            outcome.first_ns = self._now_ns if outcome.first_ns is None else outcome.first_ns
            outcome.last_ns = self._now_ns
        try:
            apply(self._engine, self._verb, arguments)
        except _REFUSALS as error:
            self._raised = f"{type(error).__name__}: {error}"

    def _refused(self, data: bytes) -> None:
        """Compare what the engine raised with what it is said to have raised."""
        recorded, replayed = data.decode("ascii", "replace"), self._raised
        self._raised = ""
        if replayed.partition(":")[0] != recorded:
            self._differ("outcome", recorded, replayed or "the engine went on")

    def _compare(self, recorded: bytes) -> None:
        """Compare what was decided upon the last input with what is said to have been."""
        if self.outcome.difference is not None:
            return
        replayed = self._said.take()
        self._journal.update(replayed)
        self.outcome.decisions += replayed.count(b"\n")
        if replayed != recorded:
            self._differ("decision", *_first(recorded, replayed))

    def _output(self, recorded: bytes) -> None:
        if self.outcome.difference is None:
            wanted = recorder.digest(self._engine.take())
            if wanted != recorded:
                self._differ("what was to be done", recorded.hex(), wanted.hex())

    def _end(self, data: bytes) -> None:
        given = Unpacker(data)
        state, journal, inputs = given.text(), given.text(), given.count()
        given.end()
        self._ended = True
        if self.outcome.difference is not None:
            return
        self.outcome.state_sha256 = sha256(snapshot.save(self._engine)).hexdigest()
        if journal != self._journal.hexdigest():
            self._differ("journal_sha256", journal, self._journal.hexdigest())
        elif inputs != self.outcome.inputs:
            self._differ("number of inputs", str(inputs), str(self.outcome.inputs))
        elif state != self.outcome.state_sha256:
            self._differ("state of the engine", state, self.outcome.state_sha256)

    def _differ(self, what: str, recorded: str, replayed: str) -> None:
        self.outcome.difference = Difference(
            self.outcome.inputs, self._verb, self._now_ns, what, recorded, replayed
        )


def _next(records: Iterator[tuple[int, bytes]], wanted: int) -> bytes:
    kind, data = next(records, (0, b""))
    if kind == 0:
        raise RecordingError("it ends before its first input")
    if kind != wanted:
        raise RecordingError("it does not begin as a recording does")
    return data


def _head(data: bytes) -> dict[str, Any]:
    try:
        head = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError):
        raise RecordingError("its head cannot be read") from None
    if not isinstance(head, dict) or {k: type(v) for k, v in head.items()} != HEAD_FIELDS:
        raise RecordingError("its head has other fields")
    if head["format"] != recorder.FORMAT:
        raise RecordingError(f"format {head['format']}, and this version reads {recorder.FORMAT}")
    return head


def _time(arguments: dict[str, Any]) -> int | None:
    """Return the time of an input: its own, or the latest one of a batch."""
    for name in ("now_ns", "at_ns"):
        if isinstance(arguments.get(name), int):
            return int(arguments[name])
    return None


def _first(recorded: bytes, replayed: bytes) -> tuple[str, str]:
    """Return the first lines that are not equal, "" for none."""
    ours, theirs = recorded.splitlines(), replayed.splitlines()
    ours += [b""] * (len(theirs) - len(ours))
    theirs += [b""] * (len(ours) - len(theirs))
    differ = (pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1])
    one, other = next(differ, (b"", b""))
    return one.decode("ascii", "replace"), other.decode("ascii", "replace")

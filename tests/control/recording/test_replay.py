"""What was recorded replays to the same decisions; whatever else a file holds is found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from patronus.control.recording import recorder as taping
from patronus.control.recording.engine import RecordedEngine
from patronus.control.recording.frames import MAGIC, Framer, Frames, RecordingError
from patronus.control.recording.recorder import files
from patronus.control.recording.replay import Replay, replay
from patronus.engine.configured import Configured
from patronus.engine.damping import Damper
from patronus.engine.overlay import I64, alone
from patronus.engine.policy import Policy
from patronus.engine.units import SECOND
from patronus.sim.scenario import Mesh
from tests.control.command import patronus
from tests.control.recording.lives import POLICY, Life, lived, network, recorder, world
from tests.scenarios.catalogue import shipped
from tests.sim.storms import STORMS, calm

SMALL = 40_000
"""Bytes after which a file ends: several files a life."""


def journal(folder: Path) -> list[bytes]:
    """Return the decisions in the files of a folder."""
    lines: list[bytes] = []
    for path in files(folder):
        with path.open("rb") as file:
            parts = [p[1:] for p in Frames(file) if p[0] == taping.DECISIONS]
        lines += b"".join(parts).splitlines()
    return lines


def all_equal(folder: Path) -> list[Replay]:
    """Replay all files of a folder, each of which was ended in good order."""
    done = [replay(path) for path in files(folder)]
    assert [one.difference for one in done] == [None] * len(done)
    assert not any(one.torn for one in done)
    return done


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=8)
@example(1, True)
def test_a_random_life_replays(tmp_path_factory: Any, seed: int, rotated: bool) -> None:
    """Decisions, wishes and the last state are equal, in one file or in several."""
    folder = tmp_path_factory.mktemp("life")
    lines = lived(folder, seed, max_bytes=SMALL if rotated else 10**9)
    done = all_equal(folder)
    assert journal(folder) == lines
    assert sum(one.decisions for one in done) == len(lines)
    assert [one.head["number"] for one in done] == list(range(1, len(done) + 1))
    # Each file begins with the state in which the one before has ended.
    begins = [one.head["state_sha256"] for one in done]
    assert begins[1:] == [one.state_sha256 for one in done[:-1]]


@pytest.mark.parametrize(
    ("storm", "mesh"), [("agents", Mesh.FULL), ("plans", Mesh.PARTIAL), ("losses", Mesh.REGIONAL)]
)
def test_a_small_world_replays(
    storm: str, mesh: Mesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So does the engine of a world in which much goes wrong: all sites, every verb."""
    lines = world(monkeypatch, calm(*STORMS[storm], mesh=mesh), tmp_path, max_bytes=150_000)
    assert len(files(tmp_path)) > 1
    all_equal(tmp_path)
    assert journal(tmp_path) == lines
    assert len(lines) > 40


def test_a_shipped_scenario_replays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So does a scenario with transit paths, withdrawn prefixes and agents that are away."""
    lines = world(monkeypatch, shipped("transit-rescue"), tmp_path, 14 * SECOND)
    (done,) = all_equal(tmp_path)
    assert done.decisions == len(lines) > 0
    assert done.inputs > 100


# ------------------------------------------------------------ differences


def slower(real: Callable[..., I64]) -> Callable[..., I64]:
    """Change the engine: a hold takes a little longer."""

    def hold_ns(self: Damper, rows: I64, now_ns: int) -> I64:
        return real(self, rows, now_ns) + 150_000_000

    return hold_ns


def test_another_engine_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that decides otherwise is told by the first decision in which it does."""
    lived(tmp_path, 4)
    monkeypatch.setattr(Damper, "hold_ns", slower(Damper.hold_ns))
    (path,) = files(tmp_path)
    found = replay(path).difference
    assert found is not None
    assert found.what in {"decision", "what was to be done"}
    assert found.recorded != found.replayed
    told = patronus("replay", tmp_path)
    assert told.exit_code == 1
    assert f"the first difference is upon input {found.number} ({found.verb} at " in told.stdout
    assert f"recorded: {found.recorded or 'nothing'}\n" in told.stdout
    assert told.stderr == f"Reproduce: patronus replay {tmp_path}\n"


def rewritten(path: Path, change: Callable[[list[bytes]], None]) -> Path:
    """Write a file anew with other payloads in sound frames."""
    with path.open("rb") as file:
        payloads = list(Frames(file))
    change(payloads)
    framer = Framer()
    other = path.with_name("00000099.patrec")
    other.write_bytes(MAGIC + b"".join(map(framer.frame, payloads)))
    return other


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recording that was ended in good order."""
    folder = tmp_path_factory.mktemp("tape")
    lived(folder, 8)
    (path,) = files(folder)
    return path


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a recording that replays in no time."""
    folder = tmp_path_factory.mktemp("short")
    lived(folder, 1, 25)
    (path,) = files(folder)
    return path


def of_kind(payloads: list[bytes], kind: int) -> list[int]:
    return [at for at, payload in enumerate(payloads) if payload[0] == kind]


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (taping.DECISIONS, "decision"), (taping.OUTPUT, "what was to be done"),
        (taping.END, "state of the engine"),
    ],
)  # fmt: skip
def test_each_thing_that_is_compared_counts(tape: Path, kind: int, what: str) -> None:
    """Another decision, another wish and another last state are differences, each by its name."""

    def change(payloads: list[bytes]) -> None:
        at = of_kind(payloads, kind)[-1]
        digit = payloads[at].replace(b"1", b"2", 1) if kind != taping.OUTPUT else b""
        payloads[at] = digit or bytes([kind]) + bytes(32)

    found = replay(rewritten(tape, change)).difference
    assert found is not None
    assert found.what == what


@pytest.mark.parametrize("kind", [taping.DECISIONS, taping.INPUT])
def test_nothing_may_be_left_out(tape: Path, kind: int) -> None:
    """A decision or an input that is missing is noticed, though every frame is sound."""

    def change(payloads: list[bytes]) -> None:
        at = of_kind(payloads, kind)
        del payloads[at[len(at) // 2]]

    assert replay(rewritten(tape, change)).difference is not None


def refused(folder: Path) -> Path:
    """Record an engine that is asked for what it refuses, and goes on."""
    engine = RecordedEngine(alone(network(), 3), POLICY, recorder=recorder(folder))
    life = Life(engine, 3)
    life.steps(30)
    with pytest.raises(ValueError, match="same classes"):
        engine.configure([0], Policy(), life.now_ns)
    life.steps(30)
    engine.recorder.stop(engine)
    return files(folder)[0]


def test_a_refusal_replays_as_one(tmp_path: Path) -> None:
    """What the engine refused when it was recorded it refuses again, and then goes on."""
    done = replay(refused(tmp_path))
    assert (done.torn, done.difference) == (False, None)
    assert done.inputs > 40


def test_a_refusal_that_was_none_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that accepts what it refused has changed, and so has one that refuses more."""
    path = refused(tmp_path)
    monkeypatch.setattr(Configured, "set", lambda self, sites, policy: None)
    found = replay(path).difference
    assert found is not None
    assert (found.verb, found.recorded, found.replayed) == (
        "configure", "ValueError", "the engine went on")  # fmt: skip

    def broken(self: Damper, rows: I64, now_ns: int) -> I64:
        raise IndexError("by nobody foreseen")

    monkeypatch.setattr(Damper, "hold_ns", broken)
    found = replay(path).difference
    assert found is not None
    assert (found.recorded, found.replayed) == (
        "the engine went on", "IndexError: by nobody foreseen")  # fmt: skip


def test_an_input_that_the_engine_did_not_survive(tmp_path: Path) -> None:
    """The input that ended an agent is in its recording, and so is what it raised."""
    engine = RecordedEngine(alone(network(), 3), POLICY, recorder=recorder(tmp_path))
    with pytest.raises(IndexError):
        engine.edges(np.array([99]), np.array([0], dtype=np.int8), 5)
    engine.recorder.flush()
    done = replay(files(tmp_path)[0])
    assert (done.inputs, done.torn, done.difference) == (1, True, None)


# ------------------------------------------------------------ damage


def judged(path: Path) -> Replay | None:
    """Replay a file; None where it is refused."""
    try:
        return replay(path)
    except RecordingError as error:
        assert str(error)  # noqa: PT017  # there is a message whenever there is an error
        return None


@given(st.data())
@settings(max_examples=100)
def test_a_changed_byte_is_found(tape: Path, data: st.DataObject) -> None:
    """Whichever byte is another one, the file is refused."""
    sound = tape.read_bytes()
    at = data.draw(st.integers(0, len(sound) - 1))
    other = data.draw(st.integers(1, 255))
    path = tape.with_name("00000098.patrec")
    path.write_bytes(sound[:at] + bytes([sound[at] ^ other]) + sound[at + 1 :])
    assert judged(path) is None


@given(st.data())
@settings(max_examples=40)
def test_a_file_may_end_anywhere(tape: Path, data: st.DataObject) -> None:
    """Who was killed at any byte leaves what replays so far; without a state nothing does."""
    sound = tape.read_bytes()
    size = data.draw(st.integers(0, len(sound) - 1))
    path = tape.with_name("00000097.patrec")
    path.write_bytes(sound[:size])
    done = judged(path)
    if done is None:
        assert size < 20_000  # overlay, policy and state stand there
    else:
        assert (done.torn, done.difference) == (True, None)


def test_more_of_the_file_is_more_of_the_life(tape: Path) -> None:
    """A longer part replays at least as many inputs and decisions."""
    sound, path = tape.read_bytes(), tape.with_name("00000096.patrec")
    before = (0, 0)
    for size in np.linspace(20_000, len(sound), 6).astype(int).tolist():
        path.write_bytes(sound[:size])
        done = replay(path)
        assert (done.inputs, done.decisions) >= before
        before = done.inputs, done.decisions
    assert before == (replay(tape).inputs, replay(tape).decisions)


@given(st.data())
@settings(max_examples=200)
def test_a_forged_recording_never_crashes(short: Path, data: st.DataObject) -> None:
    """Sound frames around rubbish are refused, or differ, or change nothing, and that is all."""

    def change(payloads: list[bytes]) -> None:
        at = data.draw(st.integers(0, len(payloads) - 1))
        payload = bytearray(payloads[at])
        for _ in range(data.draw(st.integers(1, 4))):
            if payload:
                place = data.draw(st.integers(0, len(payload) - 1))
                payload[place] = data.draw(st.integers(0, 255))
        cut = data.draw(st.sampled_from([0, 0, 0, 1, 7]))
        payloads[at] = bytes(payload[: len(payload) - cut])

    judged(rewritten(short, change))


@given(st.binary(max_size=200))
def test_any_bytes(tape: Path, data: bytes) -> None:
    """What was never a recording is refused, alone or behind the magic."""
    path = tape.with_name("00000095.patrec")
    for content in (data, MAGIC + data):
        path.write_bytes(content)
        assert judged(path) is None


# ------------------------------------------------------------ the command


def test_the_command_tells_what_replayed(tape: Path, tmp_path: Path) -> None:
    """A sound file ends with 0 and its fingerprint; a torn one says that it is."""
    told = patronus("replay", tape)
    done = replay(tape)
    assert (told.exit_code, told.stderr) == (0, "")
    assert told.stdout.startswith(f"PASS  {tape}: rome, no. 1, {done.inputs} inputs over ")
    assert told.stdout.endswith(f"as recorded\n  journal_sha256 {done.journal_sha256}\n")
    (tmp_path / "00000007.patrec").write_bytes(tape.read_bytes()[:-5])
    told = patronus("replay", tmp_path)
    assert told.exit_code == 0
    assert "It ends before its end was written; what is there replays." in told.stdout


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "cannot be read: No such file or directory"), (b"", "this is not a recording"),
        (b"PATREC1\n", "it ends before its first input"),
        (b"PAT", "it ends before its first input"),
        (MAGIC + b"x" * 40, "what stands after byte 8 was changed"),
    ],
)  # fmt: skip
def test_bad_files_are_bad_input(tmp_path: Path, data: bytes | None, message: str) -> None:
    """What is no recording ends with 2 and one line."""
    path = tmp_path / "x"
    if data is not None:
        path.write_bytes(data)
    told = patronus("replay", path)
    assert (told.exit_code, told.stdout) == (2, "")
    assert told.stderr == f"patronus: {path}: {message}\nReproduce: patronus replay {path}\n"


def test_an_empty_folder_is_bad_input(tmp_path: Path) -> None:
    """A folder without recordings is told."""
    told = patronus("replay", tmp_path)
    assert told.exit_code == 2
    assert f"{tmp_path} holds no recording" in told.stderr

"""Records what an engine is told: bounded files, each of which replays by itself.

::

    header frame    JSON: versions, site, number of the file, fingerprints
    overlay, policy, state          a frame each
    input | refusal | decisions | output      frames, again and again
    end             digest of the state then and of the decisions, number of the inputs

An input is written before the engine is told, so that one which it does not survive is there.
Bytes are gathered and written in one piece at :meth:`Recorder.flush` or when there are many:
who is killed leaves a file that ends somewhere, and its sound part replays. Whatever goes
wrong with the disk ends the recording with one message, and never the agent.
"""

import json
import os
import platform
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np

from patronus.control.recording import snapshot
from patronus.control.recording.codec import Packer
from patronus.control.recording.frames import MAGIC, Framer
from patronus.control.recording.plain import overlay_bytes, policy_bytes
from patronus.control.recording.verbs import pack
from patronus.engine.announcement import encode
from patronus.engine.engine import Engine
from patronus.engine.output import Output

SUFFIX: Final = ".patrec"
FORMAT: Final = 1

HEAD, OVERLAY, POLICY, STATE, INPUT, DECISIONS, OUTPUT, END, REFUSAL = range(1, 10)
"""The first byte of a payload."""

GATHERED: Final = 1 << 16
"""So many bytes are written without being asked for."""

Tell = Callable[[str], object]


class Recorder:
    """Writes the files of one agent into one folder."""

    def __init__(self, folder: Path, *, max_bytes: int, keep: int, tell: Tell) -> None:
        """Create a recorder that does not run yet.

        Args:
            folder: for the files; made when it is not there.
            max_bytes: of one file. Where the state alone takes more than half of it, a file
                grows to twice the state.
            keep: files that are left in the folder, the one being written included.
            tell: receives the one message when recording has to stop.
        """
        self._folder, self._max_bytes, self._keep, self._tell = folder, max_bytes, keep, tell
        self.running = False
        self.path = Path()
        """The file being written."""
        self._file = -1
        self._framer = Framer()
        self._gathered = bytearray()
        self._written = self._state_bytes = self._inputs = 0
        self._lines: list[bytes] = []
        self._journal = sha256()

    # ------------------------------------------------------------ the engine's side

    def start(self, engine: Engine) -> None:
        """Begin the first file with the engine as it is."""
        self.running = True
        self._guarded(self._open, engine)

    def decided(self, line: bytes) -> None:
        """Take a line of the journal."""
        if self.running:  # at most one for each entry until the input is done
            self._lines.append(line)

    def told(self, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        """Take an input that the engine is about to be told."""
        if self.running:
            self._inputs += 1
            self._guarded(lambda: self._add(INPUT, pack(name, arguments, named)))

    def refused(self, error: Exception) -> None:
        """Take note that the engine did not accept its input, or did not survive it."""
        if self.running:
            self._guarded(self._add, REFUSAL, type(error).__name__.encode())
            self._flush_decisions()

    def done(self, engine: Engine) -> None:
        """Take note that the engine has dealt with its input; begin a new file when it is time."""
        self._flush_decisions()
        if self.running and self._written >= max(self._max_bytes, 2 * self._state_bytes):
            self._guarded(self._rotate, engine)

    def _flush_decisions(self) -> None:
        if self.running and self._lines:
            lines = b"".join(line + b"\n" for line in self._lines)
            self._journal.update(lines)
            self._lines.clear()
            self._guarded(self._add, DECISIONS, lines)

    def wanted(self, output: Output) -> None:
        """Take what the engine has handed out; nothing at all needs no frame."""
        if self.running and any((output.deltas, output.unlatch, output.detect,
                                 output.announcements, output.detections)):  # fmt: skip
            self._guarded(lambda: self._add(OUTPUT, digest(output)))

    def flush(self) -> None:
        """Write what was gathered; what is written survives the agent."""
        if self.running:
            self._guarded(self._write)

    def stop(self, engine: Engine) -> None:
        """End the file in good order."""
        if self.running:
            self._guarded(self._close, engine)
            self.running = False

    # ------------------------------------------------------------ files

    def _guarded(self, action: Callable[..., None], *arguments: Any) -> None:
        """Do something; whatever goes wrong with it ends the recording, and nothing else."""
        try:
            action(*arguments)
        except OSError as error:
            self._give_up(error.strerror or str(error))
        except (LookupError, TypeError, ValueError) as error:
            # An input or a state that cannot be written is a bug, but not worth a router.
            self._give_up(f"{type(error).__name__}: {error}")

    def _give_up(self, why: str) -> None:
        self.running = False
        self._let_go()
        self._lines.clear()
        where = self._folder if self.path == Path() else self.path
        self._tell(f"recording stopped: {where}: {why}")

    def _open(self, engine: Engine) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        number = max((number_of(path) for path in files(self._folder)), default=0) + 1
        self.path = self._folder / f"{number:08}{SUFFIX}"
        # Nobody else's file is ever written to: of two agents at once the second is refused.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._file = os.open(self.path, flags, 0o600)
        self._framer, self._journal = Framer(), sha256()
        self._written = self._inputs = 0
        self._gather(MAGIC)
        state = snapshot.save(engine)
        overlay, policy = overlay_bytes(engine.overlay), policy_bytes(engine.policy)
        self._add(HEAD, _head(engine, number, overlay, policy, state))
        for kind, data in ((OVERLAY, overlay), (POLICY, policy), (STATE, state)):
            self._add(kind, data)
        self._write()
        self._state_bytes = self._written
        for old in files(self._folder)[: -self._keep]:
            old.unlink(missing_ok=True)

    def _rotate(self, engine: Engine) -> None:
        self._close(engine)
        self._open(engine)

    def _close(self, engine: Engine) -> None:
        out = Packer()
        out.text(sha256(snapshot.save(engine)).hexdigest())
        out.text(self._journal.hexdigest())
        out.count(self._inputs)
        self._add(END, bytes(out))
        self._write()
        self._let_go()

    def _add(self, kind: int, data: bytes) -> None:
        self._gather(self._framer.frame(bytes([kind]) + data))
        if len(self._gathered) >= GATHERED:
            self._write()

    def _gather(self, data: bytes) -> None:
        self._gathered += data
        self._written += len(data)

    def _write(self) -> None:
        while self._gathered:  # a write may be cut short, the next one then says why
            done = os.write(self._file, self._gathered)
            del self._gathered[:done]

    def _let_go(self) -> None:
        self._gathered.clear()
        if self._file >= 0:
            with suppress(OSError):
                os.close(self._file)
            self._file = -1


def files(folder: Path) -> list[Path]:
    """Return the recordings in a folder in order of their numbers."""
    found = (path for path in folder.glob(f"*{SUFFIX}") if path.stem.isdecimal())
    return sorted(found, key=number_of)


def number_of(path: Path) -> int:
    """Return the number of a recording."""
    return int(path.stem)


def _head(engine: Engine, number: int, overlay: bytes, policy: bytes, state: bytes) -> bytes:
    head = {
        "format": FORMAT,
        "number": number,
        "sites": list(engine.overlay.sites[: engine.overlay.deciding]),
        "patronus": _version(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "overlay_sha256": sha256(overlay).hexdigest(),
        "policy_sha256": sha256(policy).hexdigest(),
        "state_sha256": sha256(state).hexdigest(),
    }
    return json.dumps(head, sort_keys=True, separators=(",", ":")).encode("ascii")


def _version() -> str:
    try:
        return version("patronus")
    except PackageNotFoundError:  # run from a folder that was never installed
        return "unknown"


def digest(output: Output) -> bytes:
    """Return a fingerprint of what an engine wants done."""
    out = Packer()
    for delta in output.deltas:
        out.count(delta.generation)
        for array in (delta.entries, delta.rows, delta.drop, delta.shared_fate):
            out.array(array)
    out.array(np.array(output.unlatch, dtype=np.int64))
    for rows, detect_ns in output.detect:
        out.array(rows)
        out.array(detect_ns)
    for announcement in output.announcements:
        out.raw(encode(announcement))
    for row, at_ns, layer in output.detections:
        out.number(row)
        out.number(at_ns)
        out.text(layer)
    return sha256(bytes(out)).digest()

"""``patronus replay``: the inputs of a recording to a fresh engine, its decisions compared."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from patronus.control.recording.replay import Difference, Replay


@click.command()
@click.argument("recordings", metavar="RECORDING…", nargs=-1, required=True)
def command(recordings: Sequence[str]) -> int:
    """Replay recordings of an agent, and compare every decision byte for byte.

    A RECORDING is a file, or a folder of which all recordings are replayed in order.
    """
    from patronus.control import endings

    code = endings.PASS
    for path in _files(recordings):
        done = _replayed(path)
        click.echo("\n".join(_told(path, done)))
        if done.difference is not None:
            code = endings.FAIL
    if code:
        endings.reproduce(endings.typed(["replay", *recordings]))
    return code


def _files(names: Sequence[str]) -> list[Path]:
    """Return the files that are meant.

    Raises:
        Failure: a folder holds none.
    """
    from patronus.control.endings import Failure
    from patronus.control.recording.recorder import SUFFIX, files

    found: list[Path] = []
    for path in map(Path, names):
        if path.is_dir() and not files(path):
            raise Failure(f"{path} holds no recording (*{SUFFIX})")
        found += files(path) if path.is_dir() else [path]
    return found


def _replayed(path: Path) -> "Replay":
    """Return what came of one file.

    Raises:
        Failure: it is no sound recording.
    """
    from patronus.control.endings import Failure
    from patronus.control.recording.frames import RecordingError
    from patronus.control.recording.replay import replay

    try:
        return replay(path)
    except RecordingError as error:
        raise Failure(f"{path}: {error}") from error
    except OSError as error:
        raise Failure(f"{path}: cannot be read: {error.strerror}") from error


def _told(path: Path, done: "Replay") -> list[str]:
    from patronus.control.tables import counted, stamp

    span_ns = (done.last_ns or 0) - (done.first_ns or 0)
    sizes = f"{counted(done.inputs, 'input')} over {span_ns / 1e9:.1f} s"
    sites = ", ".join(done.head["sites"][:3])
    of = f"{path}: {sites}, no. {done.head['number']}, {sizes}"
    if done.difference is not None:
        return [f"{stamp('fail')}  {of}", *_different(done.difference)]
    lines = [
        f"{stamp('pass')}  {of}, {counted(done.decisions, 'decision')} as recorded",
        f"  journal_sha256 {done.journal_sha256}",
    ]
    if done.torn:
        lines.append("  It ends before its end was written; what is there replays.")
    return lines


def _different(difference: "Difference") -> list[str]:
    at = "" if difference.now_ns is None else f" at {difference.now_ns / 1e9:.6f} s"
    upon = f"input {difference.number} ({difference.verb}{at})"
    return [
        f"  {difference.what}: the first difference is upon {upon}",
        f"    recorded: {difference.recorded or 'nothing'}",
        f"    replayed: {difference.replayed or 'nothing'}",
    ]

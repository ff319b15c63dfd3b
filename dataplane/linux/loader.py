"""Load programs and maps into the kernel and pin them; a short-lived process of its own.

``python -m patronus.dataplane.linux.loader NAME`` leaves ``/sys/fs/bpf/NAME``. Maps that are
pinned already are kept with all they hold, if they have the layout and the sizes that are
asked for; else new ones are made, and take over what the old ones hold
(:mod:`patronus.dataplane.linux.transfer`). Programs are replaced. Where a program is attached, the
old one runs on until the new one is attached in its place: an upgrade loses no packet.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import numpy as np

from patronus.dataplane.linux import builder, description, records, syscall, transfer
from patronus.dataplane.linux.objects import Object
from patronus.dataplane.linux.pins import BPF_ROOT, Arrays, Pins, Sizes
from patronus.engine.units import LONG_AGO, NEVER, SECOND


def load(name: str, made: Object, sizes: Sizes) -> Pins:
    """Pin programs and maps under a name, and return them opened.

    Raises:
        OSError: the kernel refuses, with its reason.
        ValueError: what is pinned there does not say what it holds.
    """
    root = _root(name)
    (root / "maps").mkdir(parents=True, exist_ok=True)
    (root / "programs").mkdir(exist_ok=True)
    pins = Pins(root, {}, {})
    try:
        kept = _open_maps(pins, made, sizes)
        if not kept:
            _make_maps(pins, made, sizes)
        for program_name, program in made.programs.items():
            pins.programs[program_name] = syscall.load_program(program_name, program, pins.maps)
    except BaseException:
        pins.close()
        raise
    if not kept:
        _set_aside(root)
    _pin_all(pins)
    return pins


def _root(name: str) -> Path:
    if name in {"", ".", ".."} or "/" in name:
        raise ValueError(f"{name!r} is no name for pins")
    return BPF_ROOT / name


def _open_maps(pins: Pins, made: Object, sizes: Sizes) -> bool:
    """Open the maps that are pinned; tell whether all are there, as they are wanted."""
    folder = pins.root / "maps"
    pins.maps = {path.name: syscall.open_pin(path) for path in sorted(folder.iterdir())}
    fit = made.maps.keys() <= pins.maps.keys() and all(
        syscall.map_shape(pins.maps[name]) == sizes.shape(name, shape)
        for name, shape in made.maps.items()
    )
    if fit and pins.layout == records.LAYOUT:
        return True
    pins.close()
    return False


def _make_maps(pins: Pins, made: Object, sizes: Sizes) -> None:
    """Make all maps, with what the pinned ones hold."""
    for name, shape in sorted(made.maps.items()):
        pins.maps[name] = syscall.create_map(name, sizes.shape(name, shape))
    pins.maps[description.NAME] = syscall.create_map(description.NAME, description.SHAPE)
    text = description.text_of(transfer.DESCRIBED)
    pins.array(description.NAME, description.TEXT)[0] = np.frombuffer(text, np.uint8)
    initialise(pins, sizes)
    older = [f for f in (pins.root / transfer.OLD, pins.root / "maps") if f.is_dir()]
    if any(older[0].iterdir()):
        with closing(transfer.Elder(older[0])) as old:
            transfer.carry(old, pins)


def _set_aside(root: Path) -> None:
    """Keep the older maps until the new ones have taken over; packets still use them."""
    maps, old = root / "maps", root / transfer.OLD
    if old.is_dir():  # somebody was killed amid this: what is pinned now was never used
        shutil.rmtree(maps)
    elif any(maps.iterdir()):
        maps.rename(old)
    maps.mkdir(exist_ok=True)


def initialise(pins: Arrays, sizes: Sizes) -> None:
    """Write what fresh maps must hold before the first packet."""
    tunnels = pins.array("tunnels")
    tunnels["heard_ns"] = tunnels["confirmed_ns"] = LONG_AGO
    tunnels["since_ns"] = NEVER
    tunnels["sequence"] = -1
    tunnels["latched"] = True
    pins.array("ring")["capacity"] = sizes.moves
    settings = pins.array("settings")
    settings["heartbeat_ns"] = LONG_AGO
    settings["stale_after_ns"] = SECOND
    settings["hold_ns"] = 10 * SECOND
    settings["drain_slack_ms"] = 5
    settings["rows"], settings["entries"] = sizes.rows, sizes.entries
    settings["classes"] = 1
    settings["counter_stride"] = sizes.counter_stride
    settings["flow_sets"] = sizes.flow_sets - 1
    settings["flow_key"] = np.frombuffer(os.urandom(48), np.uint32)
    rules = pins.array("rules").reshape(2, -1)
    rules[:, records.RulePlace.DEFAULT] = records.RULES_MAX << 8
    # The last store: programs leave packets alone while the layout is not there.
    settings["layout"] = records.LAYOUT


def _pin_all(pins: Pins) -> None:
    """Pin what is new; a program takes the place of its elder in one step."""
    for name, descriptor in pins.maps.items():
        path = pins.root / "maps" / name
        if not path.exists():
            syscall.pin(descriptor, path)
    for name, descriptor in pins.programs.items():
        path, fresh = pins.root / "programs" / name, pins.root / "programs" / f"{name}_fresh"
        fresh.unlink(missing_ok=True)
        syscall.pin(descriptor, fresh)
        fresh.rename(path)


def unload(name: str) -> bool:
    """Remove everything pinned under a name; tell whether there was anything.

    Raises:
        ValueError: the name is none.
    """
    root = _root(name)
    if not root.is_dir():
        return False
    # bpffs is a file system of its own kind: what is below are pins and folders, no data.
    shutil.rmtree(root)
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="patronus-loader", description=__doc__)
    parser.add_argument("name", help="folder below /sys/fs/bpf")
    parser.add_argument("--cache", type=Path, default=builder.CACHE, help="compiled programs")
    parser.add_argument("--unload", action="store_true", help="remove the pins instead")
    for field in fields(Sizes):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=int, default=field.default)
    return parser


def main(arguments: Sequence[str]) -> int:
    """Load or unload; return the exit status."""
    given = vars(_parser().parse_args(arguments))
    name, cache, gone = given.pop("name"), given.pop("cache"), given.pop("unload")
    try:
        if gone:
            unload(name)
        else:
            load(name, builder.build(cache), Sizes(**given)).close()
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(sys.argv[1:]))

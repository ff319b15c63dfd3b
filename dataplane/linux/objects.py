"""Compiled programs: instructions, the maps that they name, and their files.

An object knows nothing of a kernel: maps are named, not numbered, so a file compiled once
serves every later start (:mod:`patronus.dataplane.linux.compiler` needs seconds, this
milliseconds). Files are JSON, since what we read must not be able to run anything.
"""

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

_INCLUDE = re.compile(r'^#include "([\w./]+)"$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class MapShape:
    """How a map is made."""

    kind: int
    """``enum bpf_map_type``."""
    key_bytes: int
    value_bytes: int
    entries: int
    flags: int


@dataclass(frozen=True, slots=True)
class Reference:
    """An instruction that names a map."""

    at: int
    """Offset in bytes."""
    map: str


@dataclass(frozen=True, slots=True)
class Program:
    """Instructions of one entry point."""

    code: bytes
    references: tuple[Reference, ...]


@dataclass(frozen=True, slots=True)
class Object:
    """Programs and the maps that they share."""

    maps: dict[str, MapShape]
    programs: dict[str, Program]

    @classmethod
    def merged(cls, parts: Iterable["Object"]) -> "Object":
        """Return one object of several that agree on the maps they share.

        Raises:
            ValueError: two parts mean different maps by one name.
        """
        maps: dict[str, MapShape] = {}
        programs: dict[str, Program] = {}
        for part in parts:
            for name, shape in part.maps.items():
                if maps.setdefault(name, shape) != shape:
                    raise ValueError(f"two shapes of the map {name}")
            programs.update(part.programs)
        return cls(maps, programs)


def flatten(source: Path) -> str:
    """Return a source with our own headers in place of their includes, each once.

    bcc rewrites accesses to maps in the main file alone, so there must be no other.
    """
    seen: set[Path] = set()

    def expand(path: Path) -> str:
        if path in seen:
            return ""
        seen.add(path)
        text = path.read_text().replace("#pragma once\n", "")
        return _INCLUDE.sub(lambda found: expand(path.parent / found[1]), text)

    return expand(source)


def text_of(made: Object) -> str:
    """Return an object as the text of its file."""
    return json.dumps(
        {
            "maps": {name: asdict(shape) for name, shape in made.maps.items()},
            "programs": {
                name: {
                    "code": base64.b64encode(program.code).decode(),
                    "references": [[r.at, r.map] for r in program.references],
                }
                for name, program in made.programs.items()
            },
        }
    )


def write_object(path: Path, made: Object) -> None:
    """Write an object; a reader sees all of it or nothing."""
    write_text(path, text_of(made))


def write_text(path: Path, text: str) -> None:
    """Write the text of an object; a reader sees all of it or nothing."""
    fresh = path.with_suffix(".fresh")
    try:
        fresh.write_text(text)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def read_object(path: Path) -> Object:
    """Read an object.

    Raises:
        OSError: there is none.
        ValueError: the file is not one.
    """
    return object_of(path.read_bytes(), str(path))


def object_of(text: bytes, name: str) -> Object:
    """Return the object that a text describes.

    Raises:
        ValueError: it describes none; the message has the name.
    """
    try:
        found = json.loads(text)
        maps = {name: MapShape(**shape) for name, shape in found["maps"].items()}
        programs = {
            name: Program(
                base64.b64decode(program["code"], validate=True),
                tuple(Reference(int(at), str(of)) for at, of in program["references"]),
            )
            for name, program in found["programs"].items()
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{name} is no compiled program") from error
    return Object(maps, programs)

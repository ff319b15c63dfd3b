"""C to BPF instructions, by bcc, in a process of its own: its compiler holds 120 MB.

``python -m patronus.dataplane.linux.compiler OUT SOURCE [-DNAME]...`` writes what
:mod:`patronus.dataplane.linux.objects` reads; OUT ``-`` is the standard output. Nothing is
loaded into the kernel but the maps that bcc makes while it compiles, and those go with the
process.
"""

import ctypes
import struct
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from patronus.dataplane.linux import probing, records
from patronus.dataplane.linux.objects import (
    MapShape,
    Object,
    Program,
    Reference,
    flatten,
    text_of,
    write_text,
)

SYSTEM_PACKAGES = "/usr/lib/python3/dist-packages"
"""Where Debian keeps bcc's Python; PyPI's package of that name is another one."""

FLAGS = ("-Wno-unused-function", "-Wno-address-of-packed-member")
LD_IMM64 = 0x18
PSEUDO_MAP_FD = 1
ENTRY_POINTS = "int "
STANDARD_OUTPUT = "-"


def load_bcc() -> Any:
    """Return iovisor's bcc.

    Raises:
        ImportError: it is not installed for this Python.
    """
    if SYSTEM_PACKAGES not in sys.path:
        sys.path.append(SYSTEM_PACKAGES)
    import bcc

    return bcc


def compile_source(source: Path, defines: Sequence[str] = ()) -> Object:
    """Compile one file with all it includes.

    Raises:
        ImportError: no bcc.
        ValueError: the source does not compile; bcc has said why on stderr.
    """
    bcc = load_bcc()
    text = flatten(source)
    try:
        module = bcc.BPF(text=guarded(text), cflags=[*FLAGS, *defines])
    except Exception as error:
        # bcc raises bare exceptions.
        raise ValueError(f"{source.name} does not compile") from error
    shapes, names = _maps(bcc.lib, ctypes.c_void_p(module.module))
    programs = {name: _program(module.dump_func(name), names) for name in entry_points(text)}
    return Object(shapes, programs)


def guarded(text: str) -> str:
    """Return a program's text with the claims about its layout behind the records."""
    claims = records.assertions()
    if "struct pacing {" in text:
        claims += probing.assertions()
    return text + "\n" + claims


def entry_points(text: str) -> list[str]:
    """Return the programs in a text: its functions that are not static."""
    starts = (line for line in text.splitlines() if line.startswith(ENTRY_POINTS))
    return [line[len(ENTRY_POINTS) : line.index("(")] for line in starts]


def _maps(lib: Any, module: ctypes.c_void_p) -> tuple[dict[str, MapShape], dict[int, str]]:
    """Return the shapes of a module's maps, and their names by descriptor."""
    shapes, names = {}, {}
    # bcc declares these nowhere, and a pointer does not fit the int that ctypes assumes.
    lib.bpf_table_name.restype = ctypes.c_char_p
    for at in range(lib.bpf_num_tables(module)):
        name = lib.bpf_table_name(module, at).decode()
        shapes[name] = MapShape(
            kind=lib.bpf_table_type_id(module, at),
            key_bytes=lib.bpf_table_key_size_id(module, at),
            value_bytes=lib.bpf_table_leaf_size_id(module, at),
            entries=lib.bpf_table_max_entries_id(module, at),
            flags=lib.bpf_table_flags_id(module, at),
        )
        names[lib.bpf_table_fd_id(module, at)] = name
    return shapes, names


def _program(code: bytes, names: dict[int, str]) -> Program:
    references = tuple(_references(code, names))
    return Program(code, references)


def _references(code: bytes, names: dict[int, str]) -> Iterator[Reference]:
    """Yield where instructions name a map by its descriptor."""
    for at in range(0, len(code), 8):
        opcode, registers, _, value = struct.unpack_from("<BBhi", code, at)
        if opcode == LD_IMM64 and registers >> 4 == PSEUDO_MAP_FD:
            yield Reference(at, names[value])


def main(arguments: Sequence[str]) -> int:
    """Compile, write, return the exit status."""
    defines = [a for a in arguments if a.startswith("-D")]
    out, source = (Path(a) for a in arguments if not a.startswith("-D"))
    try:
        text = text_of(compile_source(source, defines))
        if str(out) == STANDARD_OUTPUT:
            sys.stdout.write(text)
        else:
            write_text(out, text)
    except (ImportError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

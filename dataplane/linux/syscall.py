"""bpf(2): maps, programs and pins without any library.

Only what the dataplane needs. The layouts are those of ``union bpf_attr``; every call
raises OSError with the kernel's reason, and verifier logs come with the refusal.
"""

import ctypes
import errno
import os
import struct
from collections.abc import Mapping
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

from patronus.dataplane.linux.objects import MapShape, Program

_SYS_BPF: Final = 321  # x86-64, the platform that we claim
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_ATTR_BYTES: Final = 152
_LOG_BYTES: Final = 1 << 20

BPF_PROG_TYPE_SCHED_CLS: Final = 3


class Command(IntEnum):
    """``enum bpf_cmd``."""

    MAP_CREATE = 0
    MAP_LOOKUP_ELEM = 1
    MAP_UPDATE_ELEM = 2
    MAP_DELETE_ELEM = 3
    MAP_GET_NEXT_KEY = 4
    PROG_LOAD = 5
    OBJ_PIN = 6
    OBJ_GET = 7
    PROG_TEST_RUN = 10
    OBJ_GET_INFO_BY_FD = 15
    MAP_LOOKUP_BATCH = 24
    MAP_UPDATE_BATCH = 26


class ProgramRun(NamedTuple):
    """What a program did with a packet."""

    action: int
    packet: bytes
    """As the program left it."""
    duration_ns: int
    """Average of the repeats, as the kernel measured it."""
    mark: int
    """The packet's mark afterwards."""


def _bpf(command: Command, attr: bytes) -> tuple[int, bytes]:
    buffer = ctypes.create_string_buffer(attr, _ATTR_BYTES)
    result = int(_LIBC.syscall(_SYS_BPF, int(command), buffer, _ATTR_BYTES))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"bpf {command.name}: {os.strerror(code)}")
    return result, buffer.raw


def _pointer(buffer: "ctypes.Array[ctypes.c_char]") -> int:
    return ctypes.addressof(buffer)


def create_map(name: str, shape: MapShape) -> int:
    """Return the descriptor of a new map."""
    attr = struct.pack(
        "<IIIII4xI16s",
        shape.kind, shape.key_bytes, shape.value_bytes, shape.entries, shape.flags,
        0, name.encode()[:15],
    )  # fmt: skip
    # inner_map_fd lies between flags and numa_node and is not used.
    return _bpf(Command.MAP_CREATE, attr)[0]


def map_shape(descriptor: int) -> MapShape:
    """Return how a map was made."""
    info = ctypes.create_string_buffer(88)
    _bpf(Command.OBJ_GET_INFO_BY_FD, struct.pack("<IIQ", descriptor, 88, _pointer(info)))
    kind, _, key, value, entries, flags = struct.unpack_from("<6I", info.raw)
    return MapShape(kind, key, value, entries, flags)


def load_program(name: str, program: Program, maps: Mapping[str, int]) -> int:
    """Return the descriptor of a program whose maps are those of the given descriptors.

    Raises:
        OSError: the verifier's reason is in the message.
    """
    code = bytearray(program.code)
    for reference in program.references:
        struct.pack_into("<i", code, reference.at + 4, maps[reference.map])
    text = ctypes.create_string_buffer(bytes(code), len(code))
    license_text = ctypes.create_string_buffer(b"GPL")
    try:
        return _load(name, text, license_text, None)
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EINVAL, errno.E2BIG, errno.EFAULT}:
            raise
        log = ctypes.create_string_buffer(_LOG_BYTES)
        return _load_again(name, text, license_text, log)


def _load_again(
    name: str,
    text: "ctypes.Array[ctypes.c_char]",
    license_text: "ctypes.Array[ctypes.c_char]",
    log: "ctypes.Array[ctypes.c_char]",
) -> int:
    """Load once more, for the log: without one the verifier is quicker."""
    try:
        return _load(name, text, license_text, log)
    except OSError as error:
        tail = log.value.decode(errors="replace").strip().splitlines()[-40:]
        raise OSError(error.errno, f"the kernel refuses {name}:\n" + "\n".join(tail)) from None


def _load(
    name: str,
    text: "ctypes.Array[ctypes.c_char]",
    license_text: "ctypes.Array[ctypes.c_char]",
    log: "ctypes.Array[ctypes.c_char] | None",
) -> int:
    attr = struct.pack(
        "<IIQQIIQII16s",
        BPF_PROG_TYPE_SCHED_CLS, len(text) // 8, _pointer(text), _pointer(license_text),
        1 if log else 0, len(log) if log else 0, _pointer(log) if log else 0,
        0, 0, name.encode()[:15],
    )  # fmt: skip
    return _bpf(Command.PROG_LOAD, attr)[0]


def pin(descriptor: int, path: Path) -> None:
    """Give a map or program a name in the BPF file system."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    _bpf(Command.OBJ_PIN, struct.pack("<QI", _pointer(name), descriptor))


def open_pin(path: Path) -> int:
    """Return the descriptor of what is pinned."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    return _bpf(Command.OBJ_GET, struct.pack("<QI", _pointer(name), 0))[0]


def lookup(descriptor: int, key: bytes, value_bytes: int) -> bytes | None:
    """Return the value of a key, None where there is none."""
    at, out = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(value_bytes)
    try:
        _bpf(
            Command.MAP_LOOKUP_ELEM,
            struct.pack("<I4xQQQ", descriptor, _pointer(at), _pointer(out), 0),
        )
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    return out.raw


def update(descriptor: int, key: bytes, value: bytes) -> None:
    """Set the value of a key."""
    at = ctypes.create_string_buffer(key, len(key))
    what = ctypes.create_string_buffer(value, len(value))
    attr = struct.pack("<I4xQQQ", descriptor, _pointer(at), _pointer(what), 0)
    _bpf(Command.MAP_UPDATE_ELEM, attr)


def delete(descriptor: int, key: bytes) -> bool:
    """Remove a key; tell whether it was there."""
    at = ctypes.create_string_buffer(key, len(key))
    try:
        _bpf(Command.MAP_DELETE_ELEM, struct.pack("<I4xQQQ", descriptor, _pointer(at), 0, 0))
    except OSError as error:
        if error.errno == errno.ENOENT:
            return False
        raise
    return True


def next_key(descriptor: int, key: bytes | None, key_bytes: int) -> bytes | None:
    """Return the key after another one, the first one after None."""
    at = ctypes.create_string_buffer(key or b"", key_bytes)
    out = ctypes.create_string_buffer(key_bytes)
    attr = struct.pack("<I4xQQ", descriptor, _pointer(at) if key is not None else 0, _pointer(out))
    try:
        _bpf(Command.MAP_GET_NEXT_KEY, attr)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    return out.raw


def update_batch(descriptor: int, keys: bytes, values: bytes, count: int) -> None:
    """Set many keys with one call."""
    at = ctypes.create_string_buffer(keys, len(keys))
    what = ctypes.create_string_buffer(values, len(values))
    attr = struct.pack("<QQQQIIQQ", 0, 0, _pointer(at), _pointer(what), count, descriptor, 0, 0)
    _bpf(Command.MAP_UPDATE_BATCH, attr)


def lookup_all(
    descriptor: int, *, key_bytes: int, value_bytes: int, most: int
) -> tuple[bytes, bytes]:
    """Return keys and values of a hash map, as far as they stand still meanwhile."""
    keys = ctypes.create_string_buffer(most * key_bytes)
    values = ctypes.create_string_buffer(most * value_bytes)
    cursor = ctypes.create_string_buffer(max(key_bytes, 8))
    attr = struct.pack(
        "<QQQQIIQQ", 0, _pointer(cursor), _pointer(keys), _pointer(values), most, descriptor, 0, 0
    )
    buffer = ctypes.create_string_buffer(attr, _ATTR_BYTES)
    result = int(_LIBC.syscall(_SYS_BPF, int(Command.MAP_LOOKUP_BATCH), buffer, _ATTR_BYTES))
    code = ctypes.get_errno()
    # The end of the map is told as ENOENT, with the last ones filled in.
    if result < 0 and code != errno.ENOENT:
        raise OSError(code, f"bpf MAP_LOOKUP_BATCH: {os.strerror(code)}")
    (count,) = struct.unpack_from("<I", buffer.raw, 32)
    return keys.raw[: count * key_bytes], values.raw[: count * value_bytes]


def run_program(
    descriptor: int, packet: bytes, *, repeat: int = 1, ifindex: int = 0, mark: int = 0
) -> ProgramRun:
    """Run a program on a packet (``BPF_PROG_TEST_RUN``).

    With ``repeat`` the kernel hands each run the packet that the last one left.
    """
    sent = ctypes.create_string_buffer(packet, len(packet))
    out = ctypes.create_string_buffer(len(packet) + 512)
    context = bytearray(192)  # struct __sk_buff
    struct.pack_into("<I", context, 8, mark)
    struct.pack_into("<I", context, 40, ifindex)
    given = ctypes.create_string_buffer(bytes(context), len(context))
    left = ctypes.create_string_buffer(len(context))
    attr = struct.pack(
        "<IIIIQQIIIIQQ",
        descriptor, 0, len(packet), len(out), _pointer(sent), _pointer(out), repeat, 0,
        len(context), len(context), _pointer(given), _pointer(left),
    )  # fmt: skip
    _, raw = _bpf(Command.PROG_TEST_RUN, attr)
    action, _, size = struct.unpack_from("<III", raw, 4)
    (duration,) = struct.unpack_from("<I", raw, 36)
    (mark_after,) = struct.unpack_from("<I", left.raw, 8)
    return ProgramRun(action, out.raw[:size], duration, mark_after)

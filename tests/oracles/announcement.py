"""The announcement's bytes, put together by hand from plain lists."""

from collections.abc import Sequence


def _number(value: int, size: int) -> bytes:
    return value.to_bytes(size, "little", signed=value < 0)


def _name(name: str) -> bytes:
    raw = name.encode("utf-8")
    return _number(len(raw), 1) + raw


def _names(names: Sequence[str]) -> bytes:
    return _number(len(names), 2) + b"".join(_name(name) for name in names)


def encoded(
    header: tuple[bool, int, int, int],
    origin: str,
    lists: Sequence[Sequence[str]],
    cells: Sequence[Sequence[tuple[bool, int, int, int, int]]],
) -> bytes:
    """Return the bytes; ``header`` is LAN up, counter, version, sent_ns."""
    lan_up, *numbers = header
    data = b"PA\x01" + _number(int(lan_up), 1)
    data += b"".join(_number(value, 8) for value in numbers)
    data += _name(origin) + b"".join(_names(names) for names in lists)
    for column, size in enumerate((1, 8, 8, 4, 1)):
        data += b"".join(_number(int(cell[column]), size) for row in cells for cell in row)
    return data

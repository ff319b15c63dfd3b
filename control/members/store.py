"""What a site remembers of the membership: how far it has counted, who was where.

One file, replaced as a whole: the SHA-256 of the rest in the first line, then JSON.
Nothing in it is needed: without it, a site asks its seeds, counts from the clock, and
believes no recording, since proof is always made anew. A file that is not what was
written is set aside and said so; it never keeps a site from starting.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from patronus.control.members.address import Address, address
from patronus.control.members.book import SITES_MAX
from patronus.control.members.certificate import Certificate, decode
from patronus.control.members.counter import CEILING_MAX
from patronus.control.members.reason import Refused
from patronus.control.members.secretfile import SecretError, keep, reveal

FORMAT: Final = 1
BYTES_MAX: Final = 16 << 20
"""Beyond 4096 sites with the longest names and certificates."""


@dataclass(frozen=True, slots=True)
class Memory:
    """All that is remembered."""

    ceiling: int = 0
    """Numbers up to this may have been used."""
    addresses: dict[str, Address] = field(default_factory=dict)
    """Where proof of a peer came from last."""
    certificates: tuple[Certificate, ...] = ()
    """The highest known of each name."""


def save(path: Path, memory: Memory) -> None:
    """Write the file.

    Raises:
        SecretError: it cannot be written; what was there before still is.
    """
    told = {
        "format": FORMAT,
        "ceiling": memory.ceiling,
        "addresses": {name: list(where) for name, where in memory.addresses.items()},
        "certificates": [base64.b64encode(c.encode()).decode() for c in memory.certificates],
    }
    body = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    keep(path, _digest(body) + b"\n" + body + b"\n")


def load(path: Path, report: Callable[[str], object]) -> Memory:
    """Read the file; what is wrong with it is reported, and nothing is remembered then."""
    try:
        data = reveal(path, bytes_max=BYTES_MAX)
    except FileNotFoundError:
        return Memory()
    except SecretError as error:
        report(f"{error}; going on without it")
        return Memory()
    try:
        return content(data)
    except DAMAGE:
        report(f"{path} is damaged; {_set_aside(path)}; going on without it")
        return Memory()


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


DAMAGE: Final = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
    Refused,
)
"""What reading a damaged file can raise: its JSON may hold anything in the place of anything."""


def content(data: bytes) -> Memory:
    """Return what the bytes of a file say; any of :data:`DAMAGE` is raised if that is nothing."""
    digest, _, body = data.partition(b"\n")
    body = body.removesuffix(b"\n")
    if digest != _digest(body):
        raise ValueError("not what was written")
    told: dict[str, Any] = json.loads(body)
    ceiling, certificates = told["ceiling"], told["certificates"]
    if told["format"] != FORMAT or not isinstance(ceiling, int):
        raise ValueError("not of this format")
    if not 0 <= ceiling <= CEILING_MAX:
        raise ValueError("further than anybody can count")
    if len(certificates) > SITES_MAX or len(told["addresses"]) > SITES_MAX:
        raise ValueError("more than were ever kept")
    return Memory(
        ceiling,
        {name: _place(*where) for name, where in told["addresses"].items()},
        tuple(decode(base64.b64decode(each, validate=True)) for each in certificates),
    )


def _place(host: object, port: object) -> Address:
    if not isinstance(host, str) or not isinstance(port, int):
        raise TypeError("not a place")
    return address(host, port)


def _set_aside(path: Path) -> str:
    """Rename a file, over one that was set aside before; return what became of it."""
    aside = path.with_name(path.name + ".damaged")
    try:
        path.replace(aside)
    except OSError as error:
        return f"it cannot be set aside ({error.strerror})"
    return f"it is kept as {aside.name}"

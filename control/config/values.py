"""Shapes of what only an agent's file holds: addresses, keys, interfaces, paths."""

import re
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

from patronus.sim.language.mistakes import quoted
from patronus.sim.language.shapes import Json
from patronus.sim.language.values import TEXT, Unfit, Value, text, whole

KEY_BYTES: Final = 32
"""Of an Ed25519 public key (RFC 8032 section 5.1.5)."""

PORT: Final = whole("a port from 1 to 65535", 1, 65_535)

INTERFACE: Final = text(
    "the name of an interface, at most 15 characters", r"^(?!\.{1,2}$)[^\s/:\x00-\x1f\x7f]{1,15}$",
    "eth0",
)  # fmt: skip
"""IFNAMSIZ of Linux holds 16, the closing zero among them."""

FILE: Final = text("the name of a file", r"^[^\x00-\x1f\x7f]{1,1024}$", "keys/berlin.key")
FOLDER: Final = text("the name of a folder", r"^[^\x00-\x1f\x7f]{1,1024}$", "/var/lib/patronus")

_ADDRESS_JSON: Final[Json] = {"type": "string", "pattern": "^[0-9A-Fa-f.:]{2,45}$"}


def _address(given: str) -> str:
    try:
        address = ip_address(given)
    except ValueError:
        raise Unfit(f"{quoted(given)} is not an address", _without_prefix(given)) from None
    return _usable(address, given)


def _usable(address: IPv4Address | IPv6Address, given: str) -> str:
    if address.is_unspecified or address.is_multicast:
        raise Unfit(f"{quoted(given)} is no host's address")
    if isinstance(address, IPv6Address) and address.scope_id:
        raise Unfit(f"{quoted(given)} has a scope", "the interface is named by the transport")
    return str(address)


def _without_prefix(given: str) -> str:
    bare = given.partition("/")[0]
    try:
        return f"write `{ip_address(bare)}`" if bare != given else ""
    except ValueError:
        return ""


def _or_word(word: str, convert: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda given: None if given == word else convert(given)


def _worded(about: str, word: str, convert: Callable[[str], Any], json: Json) -> Value:
    """Return a value in place of which one word may stand; it reads as None."""
    either = {"anyOf": [{"enum": [word]}, json]}
    return Value(f"{about}, or {word}", TEXT, either, _or_word(word, convert))


OWN_ADDRESS: Final = _worded("an address such as 192.0.2.7", "dhcp", _address, _ADDRESS_JSON)
GATEWAY: Final = _worded("a gateway's address", "auto", _address, _ADDRESS_JSON)
NEIGHBOUR: Final = Value("a neighbour's address", TEXT, _ADDRESS_JSON, _address)
LISTENING: Final = Value("an address such as 127.0.0.1", TEXT, _ADDRESS_JSON, _address)

_WITH_PORT: Final = re.compile(r"(?:\[([^\]]*)\]|([^\[\]:]*)):([0-9]{1,5})")


def _endpoint(given: str) -> tuple[str, int | None]:
    """Return address and port; the port may be left out, as in ``2001:db8::1`` or ``192.0.2.1``."""
    match = _WITH_PORT.fullmatch(given)
    if not match:
        return _address(given), None
    port = int(match[3])
    if not 1 <= port <= 65_535:
        raise Unfit(f"{port} is no port", "ports are 1 to 65535")
    return _address(match[1] if match[1] is not None else match[2]), port


def _seed(given: str) -> tuple[str, int]:
    address, port = _endpoint(given)
    if port is None:
        whole_name = f"[{address}]" if ":" in address else address
        raise Unfit(f"{quoted(given)} has no port", f"write `{whole_name}:PORT`")
    return address, port


_ENDPOINT_JSON: Final[Json] = {"type": "string", "pattern": r"^[0-9A-Fa-f.:\[\]]{2,53}$"}

PLACE: Final = _worded(
    "an address with or without port, such as 192.0.2.1 or [2001:db8::1]:51820", "learned",
    _endpoint, _ENDPOINT_JSON,
)  # fmt: skip
SEED: Final = Value("an address with its port, such as 192.0.2.1:4500", TEXT, _ENDPOINT_JSON, _seed)


def _key(given: str) -> str:
    try:
        raw = b64decode(given, validate=True)
    except (Error, ValueError):
        raise Unfit(f"{quoted(given, 12)} is not base64") from None
    if len(raw) != KEY_BYTES:
        raise Unfit(f"this key has {len(raw)} bytes, a public key has {KEY_BYTES}")
    if b64encode(raw).decode() != given:
        raise Unfit("this is not how the key is written", f"write `{b64encode(raw).decode()}`")
    return given


KEY: Final = Value(
    "a public key, 32 bytes in base64", TEXT,
    {"type": "string", "pattern": "^[A-Za-z0-9+/]{43}=$"}, _key,
)  # fmt: skip

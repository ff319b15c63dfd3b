"""The text that ``wireguard-go`` and its like understand on their control socket.

Lines of ``key=value``; keys in hex; an empty line ends a request and a reply, and a reply's
last key is ``errno``. The format is that of wireguard.com/xplatform, section "Configuration
Protocol". This module only turns values into text and text into values.
"""

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Final

from patronus.dataplane.tunnels.driver import PeerState
from patronus.dataplane.tunnels.keys import KEY_BYTES
from patronus.dataplane.tunnels.spec import Endpoint, Prefix
from patronus.dataplane.tunnels.wgdevice import PeerChange, WgChange, WgDevice

GET: Final = b"get=1\n\n"
REPLY_BYTES_MAX: Final = 64 * 2**20
"""65536 peers, the most that wireguard-go holds, take about 40 MB."""
INT64_MAX: Final = 2**63 - 1


class BadReply(Exception):
    """The other side sent what the protocol does not allow."""


def set_request(change: WgChange) -> bytes:
    """Return the request that makes a change."""
    lines = ["set=1"]
    if change.private_key is not None:
        lines.append(f"private_key={change.private_key.hex()}")
    if change.port is not None:
        lines.append(f"listen_port={change.port}")
    if change.mark is not None:
        lines.append(f"fwmark={change.mark}")
    for peer in change.peers:
        lines.extend(_peer_lines(peer))
    return "".join(f"{line}\n" for line in [*lines, ""]).encode("ascii")


def _peer_lines(peer: PeerChange) -> Iterator[str]:
    yield f"public_key={peer.public_key.hex()}"
    if peer.remove:
        yield "remove=true"
        return
    if peer.preshared_key is not None:
        yield f"preshared_key={peer.preshared_key.hex()}"
    if peer.endpoint is not None:
        yield f"endpoint={peer.endpoint}"
    if peer.keepalive_s is not None:
        yield f"persistent_keepalive_interval={peer.keepalive_s}"
    if peer.allowed is not None:
        yield "replace_allowed_ips=true"
        yield from sorted(f"allowed_ip={prefix}" for prefix in peer.allowed)


class ReplyReader:
    """Collects what the socket gives until a whole reply is there."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> bytes | None:
        """Take what arrived; return the reply once it is complete.

        Raises:
            BadReply: it is longer than any reply can be, or goes on behind its end.
        """
        start = max(0, len(self._held) - 1)
        self._held += data
        if len(self._held) > REPLY_BYTES_MAX:
            raise BadReply(f"a reply of more than {REPLY_BYTES_MAX} bytes")
        end = self._held.find(b"\n\n", start)
        if end < 0:
            return None
        if end + 2 != len(self._held):
            raise BadReply("more text behind the end of the reply")
        reply = bytes(self._held)
        self._held.clear()
        return reply


def parse_get(reply: bytes) -> WgDevice:
    """Return what a reply to ``GET`` says.

    Raises:
        BadReply: it is malformed, or says that an error happened.
    """
    device: dict[str, str] = {}
    peers: list[dict[str, list[str]]] = []
    for key, value in _pairs(reply):
        if key == "public_key":
            peers.append({key: [value]})
        elif peers:
            peers[-1].setdefault(key, []).append(value)
        elif device.setdefault(key, value) != value:
            raise BadReply(f"{key} twice")
    return WgDevice(
        private_key=_key(device.get("private_key", "")),
        port=_number(device.get("listen_port", "0"), 65_535),
        mark=_number(device.get("fwmark", "0"), 2**32 - 1),
        peers=tuple(_peer(fields) for fields in peers),
    )


def check_set(reply: bytes) -> None:
    """Refuse a reply to a change that says that an error happened, or says too much."""
    for key, _ in _pairs(reply):
        raise BadReply(f"unexpected {key} in the reply to a change")


def _pairs(reply: bytes) -> list[tuple[str, str]]:
    """Return the lines of a reply but for its last, which must say that all is well."""
    try:
        text = reply.decode("ascii")
    except UnicodeDecodeError:
        raise BadReply("a reply that is not ASCII") from None
    if not text.endswith("\n\n"):
        raise BadReply("a reply without an end")
    pairs: list[tuple[str, str]] = []
    for line in text[:-2].split("\n"):
        key, equals, value = line.partition("=")
        if not equals or not key:
            raise BadReply(f"a line that is not key=value ({len(line)} characters)")
        pairs.append((key, value))
    last, status = pairs.pop()
    if last != "errno" or any(key == "errno" for key, _ in pairs):
        raise BadReply("a reply whose last line is not errno")
    if _number(status.lstrip("-"), 2**31) != 0:
        raise BadReply(f"refused with errno {status}")
    return pairs


def _peer(fields: dict[str, list[str]]) -> PeerState:
    def one(key: str, default: str) -> str:
        values = fields.get(key, [default])
        if len(values) != 1:
            raise BadReply(f"{key} twice")
        return values[0]

    psk = _key(one("preshared_key", ""))
    seconds = _number(one("last_handshake_time_sec", "0"), INT64_MAX // 10**9 - 1)
    nanoseconds = _number(one("last_handshake_time_nsec", "0"), 10**9 - 1)
    endpoint = one("endpoint", "")
    public = _key(one("public_key", ""))
    if not public:
        raise BadReply("a peer without a key")
    return PeerState(
        public_key=public,
        preshared_key=psk if any(psk) else b"",
        endpoint=_endpoint(endpoint) if endpoint else None,
        allowed=frozenset(_allowed(text) for text in fields.get("allowed_ip", [])),
        keepalive_s=_number(one("persistent_keepalive_interval", "0"), 65_535),
        handshake_ns=seconds * 10**9 + nanoseconds,
        rx_bytes=_number(one("rx_bytes", "0"), 2**64 - 1),
        tx_bytes=_number(one("tx_bytes", "0"), 2**64 - 1),
    )


def _number(text: str, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 20 or int(text) > most:
        raise BadReply(f"a number that is not one of 0 to {most}")
    return int(text)


def _key(text: str) -> bytes:
    if not text:
        return b""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES or len(text) != 2 * KEY_BYTES:
        raise BadReply("a key that is not 64 digits of hex")
    return key


def _endpoint(text: str) -> Endpoint:
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    try:
        return Endpoint(ip_address(host), _number(port, 65_535))
    except ValueError:
        raise BadReply("an endpoint that is not address:port") from None


def _allowed(text: str) -> Prefix:
    try:
        return ip_network(text)
    except ValueError:
        raise BadReply("an allowed address that is not a prefix") from None

"""The bytes of a signed datagram, put together by hand."""

PREFIX = b"Patronus datagram\0"


def signed_part(
    kind: int, origin: str, key_id: bytes, numbers: tuple[int, int, int], body: bytes
) -> bytes:
    """Return all but the signature; ``numbers`` are counter, session and echo."""
    name = origin.encode("utf-8")
    data = b"PM\x01" + bytes([kind])
    for value in numbers:
        data += bytes(value >> shift & 255 for shift in range(0, 64, 8))
    data += key_id + bytes([len(name)]) + name
    return data + bytes([len(body) & 255, len(body) >> 8]) + body

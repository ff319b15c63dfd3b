"""The journal's bytes by the standard library: slow, plain, all at once."""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any


def line(record: Mapping[str, Any]) -> bytes:
    """Return canonical JSON."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def fingerprints(records: Iterable[Mapping[str, Any]]) -> tuple[str, str]:
    """Return the hashes without and with the numbers."""
    whole, bare = b"", b""
    for record in records:
        whole += line(record) + b"\n"
        bare += line({k: v for k, v in record.items() if k != "numbers"}) + b"\n"
    return sha256(bare).hexdigest(), sha256(whole).hexdigest()

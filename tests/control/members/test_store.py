"""The memory: read back, replaced as a whole, and never in the way of a start."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from patronus.control.members.address import Address
from patronus.control.members.counter import CEILING_MAX
from patronus.control.members.store import Memory, load, save
from tests.control.members.fleet import certificate

MEMORIES = st.builds(
    Memory,
    st.integers(0, CEILING_MAX),
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9),
        st.sampled_from([Address("10.0.0.1", 1), Address("2001:db8::1", 65535)]),
        max_size=3,
    ),
    st.sampled_from([(), (certificate("a"), certificate("dé", serial=7))]),
)
FULL = Memory(77, {"a": Address("10.0.0.1", 1)}, (certificate("a"),))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MEMORIES)
def test_it_is_read_back(tmp_path: Path, memory: Memory) -> None:
    """What is saved is what is loaded."""
    save(tmp_path / "members.json", memory)
    assert load(tmp_path / "members.json", pytest.fail) == memory


def test_no_file_is_no_damage(tmp_path: Path) -> None:
    """The first start has nothing to report."""
    assert load(tmp_path / "members.json", pytest.fail) == Memory()


def hashed(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode() + b"\n" + body + b"\n"


def flipped(data: bytes) -> bytes:
    at = data.index(b"77")
    return data[:at] + b"78" + data[at + 2 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data + b"x",
        flipped,
        lambda data: bytes(len(data)),
        lambda data: hashed(b"[" * 100_000),
        lambda data: hashed(b"[]"),
        lambda data: hashed(b"\xff"),
        lambda data: hashed(b'{"format":2,"ceiling":1,"addresses":{},"certificates":[]}'),
        lambda data: hashed(b'{"format":1,"ceiling":"1","addresses":{},"certificates":[]}'),
        lambda data: hashed(b'{"format":1,"ceiling":-1,"addresses":{},"certificates":[]}'),
        lambda data: hashed(b'{"format":1,"ceiling":1e99,"addresses":{},"certificates":[]}'),
        lambda data: hashed(b'{"format":1,"ceiling":1,"addresses":[],"certificates":[]}'),
        lambda data: hashed(b'{"format":1,"ceiling":1,"addresses":{"a":[1]},"certificates":[]}'),
        lambda data: hashed(b'{"format":1,"ceiling":1,"addresses":{"a":["",1]},"certificates":[]}'),
        lambda data: hashed(b'{"format":1,"ceiling":1,"addresses":{"a":[7,1]},"certificates":[]}'),
        lambda data: hashed(b'{"format":1,"ceiling":1,"addresses":{},"certificates":["AAAA"]}'),
        lambda data: hashed(b'{"format":1,"ceiling":1,"addresses":{},"certificates":[1]}'),
        lambda data: hashed(b'{"format":1,"ceiling":1,"addresses":{},"certificates":7}'),
    ],
)  # fmt: skip
def test_a_damaged_file_is_set_aside(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """Whatever is wrong with it: it is kept for a look, said so, and the start goes on."""
    path = tmp_path / "members.json"
    told: list[str] = []
    save(path, FULL)
    bad = damage(path.read_bytes())
    path.write_bytes(bad)
    assert load(path, told.append) == Memory()
    assert told == [f"{path} is damaged; it is kept as members.json.damaged; going on without it"]
    assert (tmp_path / "members.json.damaged").read_bytes() == bad
    save(path, FULL)
    assert load(path, pytest.fail) == FULL


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_survived(tmp_path: Path, data: bytes, right_sum: bool) -> None:
    """No content of the file crashes a start, even with the right sum before it."""
    path = tmp_path / "members.json"
    save(path, FULL)
    path.write_bytes(hashed(data) if right_sum else data)
    told: list[str] = []
    assert load(path, told.append) == Memory()
    assert len(told) == 1


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    """One that others can read, or that is none, is left alone and the start goes on."""
    path = tmp_path / "members.json"
    told: list[str] = []
    save(path, FULL)
    path.chmod(0o644)
    assert load(path, told.append) == Memory()
    path.unlink()
    os.mkfifo(path, 0o600)
    assert load(path, told.append) == Memory()
    assert [message.rpartition(";")[2] for message in told] == [" going on without it"] * 2
    assert "chmod 600" in told[0]


def test_it_cannot_always_be_set_aside(tmp_path: Path) -> None:
    """A folder in the place to keep it changes the message, and nothing else."""
    path = tmp_path / "members.json"
    told: list[str] = []
    save(path, FULL)
    path.write_bytes(b"x")
    (tmp_path / "members.json.damaged").mkdir()
    assert load(path, told.append) == Memory()
    assert "it cannot be set aside (Is a directory)" in told[0]

"""Netlink messages are split as they are, and rubbish does no harm."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.rtnetlink import attribute, attributes, dump, get, messages


@given(st.lists(st.tuples(st.integers(0, 0x3FFF), st.binary(max_size=20))))
def test_attributes_are_read_as_they_were_written(pairs: list[tuple[int, bytes]]) -> None:
    """Whatever the lengths, padding belongs to none of them."""
    data = b"".join(attribute(number, value) for number, value in pairs)
    assert len(data) % 4 == 0
    assert list(attributes(data)) == pairs


@pytest.mark.root
def test_a_refusal_is_an_error_with_its_number() -> None:
    """A question that the kernel does not know is told by errno, not by silence."""
    with pytest.raises(OSError, match="Invalid flags for FIB dump request") as told:
        dump(26, b"\x02" + bytes(10) + b"\x01")
    assert told.value.errno == errno.EINVAL
    assert get(18, bytes(4) + struct.pack("=i", 2**30) + bytes(8)) is None


@given(st.binary(max_size=200), st.integers(0, 20))
def test_rubbish_ends_the_reading(data: bytes, offset: int) -> None:
    """Cut, overlong and empty messages and attributes are not read, and nothing loops."""
    assert len(list(messages(data))) <= len(data) // 16 + 1
    assert len(list(attributes(data, offset))) <= len(data) // 4 + 1


def test_a_cut_message_is_left_out() -> None:
    """A message whose length goes beyond the data is not half read."""
    whole = struct.pack("=IHHII", 20, 24, 0, 1, 0) + b"body"
    assert list(messages(whole + whole)) == [(24, 0, b"body")] * 2
    assert list(messages(whole + whole[:-1])) == [(24, 0, b"body")]

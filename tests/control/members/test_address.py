"""Addresses: one form each."""

import pytest

from patronus.control.members.address import Address, address


@pytest.mark.parametrize(
    ("host", "canonical"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_an_address_has_one_form(host: str, canonical: str) -> None:
    """Whatever a socket calls it, the same place is equal to itself."""
    assert address(host, 5000) == Address(canonical, 5000)
    assert address(host, 5000).is_ipv6 == (":" in canonical)


@pytest.mark.parametrize(("host", "port"), [("example", 1), ("192.0.2.1", 0), ("::1", 65536)])
def test_what_cannot_be_sent_to_is_refused(host: str, port: int) -> None:
    """Names are not looked up here, and port 0 is none."""
    with pytest.raises(ValueError, match=r"port|address"):
        address(host, port)

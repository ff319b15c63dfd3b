"""Ports of VXLAN transports: theirs alone, and the same at both ends."""

from tests.control.config.files import changed, told

VXLAN = ("kind: plain", "kind: vxlan, port: 4789")


def test_vxlan_needs_a_port_of_its_own() -> None:
    """It takes the port on every address; two VXLAN transports may have the same one."""
    (mistake,) = told(changed(("kind: plain", "kind: vxlan")))
    assert mistake == (
        "5: mpls and lte both use port 51820, and VXLAN takes it on every address; "
        "another port for one of them, such as 4789 for VXLAN; "
    )
    assert told(changed(VXLAN, ("eth1}", "eth1, kind: vxlan, port: 4789}"))) == []


def test_a_peer_names_no_other_port_of_vxlan() -> None:
    """The kernel sends to the port that it listens on."""
    elsewhere = ("{mpls: 192.0.2.1,", "{mpls: '192.0.2.1:99',")
    (mistake,) = told(changed(VXLAN, elsewhere))
    assert mistake == (
        "12: port 99, but VXLAN over mpls uses 4789 at both ends; "
        "the address alone, or the transport's `port` at both; "
    )
    same = ("{mpls: 192.0.2.1,", "{mpls: {address: '192.0.2.1:4789', groups: duct},")
    assert told(changed(VXLAN, same)) == []
    assert told(changed(elsewhere)) == []

"""Names and numbers of tunnels without BPF, which both ends must make alike."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.control.agent.fallback import FallbackSite
from patronus.control.agent.lanes import end, vni
from patronus.control.agent.wanted import Unsupported
from patronus.dataplane.tunnels.spec import VNI_MAX
from tests.control.config.files import config

NAMES = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=9)


@given(one=NAMES, other=NAMES, transport=NAMES)
def test_both_ends_know_both_ends(one: str, other: str, transport: str) -> None:
    """They agree on the VNI; each end has an address of its own within ours."""
    assert vni(one, other, transport) == vni(other, one, transport)
    assert 1 <= vni(one, other, transport) <= VNI_MAX
    if one != other:
        assert end(one, other, transport) != end(other, one, transport)
    assert end(one, other, transport).exploded.startswith("fd70:6174:")


def test_what_cannot_be_is_refused() -> None:
    """A VXLAN device needs its peer's address; what BPF alone is asked for is not asked here."""
    small = config(("lte: learned", "lte: 192.0.2.9"))
    FallbackSite.check(small)
    mark = ("state: nowhere", "state: nowhere\ndataplane: {mode: mark}")
    FallbackSite.check(config(mark))
    with pytest.raises(Unsupported, match="only WireGuard can learn"):
        FallbackSite.check(config(("{interface: eth1}", "{interface: eth1, kind: plain}")))
    with pytest.raises(Unsupported, match="need different ports"):
        FallbackSite.check(config(("eth0, kind: plain", "eth0, kind: wireguard")))

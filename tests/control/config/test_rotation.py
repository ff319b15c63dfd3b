"""How often keys are replaced, and where the next one's device listens."""

import pytest

from patronus.engine.units import MINUTE
from patronus.sim.language.quantities import HOUR
from tests.control.config.files import changed, config, told


def test_a_schedule_is_read() -> None:
    """It is off where nothing is said; the two ports of a transport are apart by a hundred."""
    assert config().rotate_every_ns is None
    assert config(("lan:", "rotate_every: off\nlan:")).rotate_every_ns is None
    assert config(("lan:", "rotate_every: 720h\nlan:")).rotate_every_ns == 720 * HOUR
    assert config(("lan:", "rotate_every: 1m\nlan:")).rotate_every_ns == MINUTE
    assert config().transport("lte").ports == (51_820, 51_920)
    assert config(("eth1}", "eth1, port: 65500}")).transport("lte").ports == (65_500, 65_400)
    assert config(("eth1}", "eth1, next_port: 9}")).transport("lte").ports == (51_820, 9)


@pytest.mark.parametrize(
    ("change", "mistake"),
    [
        (("lan:", "rotate_every: 59s\nlan:"), "keys would be replaced without a pause; 1m or more"),
        (("lan:", "rotate_every: never\nlan:"), "unknown word `never`"),
        (("lan:", "rotate_every: 0s\nlan:"), "`0s` makes no sense here"),
        (("lan:", "rotate_evry: 1h\nlan:"), "unknown key `rotate_evry`"),
        (("eth1}", "eth1, next_port: 0}"), "a port from 1 to 65535"),
        (("plain}", "plain, next_port: 77}"), "its tunnels have no keys"),
        (("eth1}", "eth1, next_port: 51820}"), "would use port 51820, as the present one does"),
        (
            ("plain}", "plain, port: 51920}"),
            "the next key of lte would use port 51920, as mpls does",
        ),
    ],
)
def test_mistakes_are_told(change: tuple[str, str], mistake: str) -> None:
    """Each in one sentence, with what was expected."""
    found = told(changed(change))
    assert any(mistake in text for text in found), found


def test_two_transports_do_not_share_a_port() -> None:
    """Neither the next ports of both, nor one's next port and the other's port."""
    lte = ("kind: plain}", "port: 4000, next_port: 4200}")
    (mistake,) = told(changed(lte, ("eth1}", "eth1, port: 4100}")))
    assert "the next key of lte would use port 4200, as that of mpls does" in mistake
    (mistake,) = told(changed(lte, ("eth1}", "eth1, port: 4200, next_port: 5000}")))
    assert "the next key of mpls would use port 4200, as lte does" in mistake


def test_a_schedule_needs_keys() -> None:
    """Without WireGuard there is nothing to be replaced."""
    only = ("  lte: {interface: eth1}\n", "")
    endpoint = (", lte: learned", "")
    (mistake,) = told(changed(only, endpoint, ("lan:", "rotate_every: 1h\nlan:")))
    assert "no tunnel has a key to be replaced" in mistake

"""What a configuration wants of a machine, and what is refused rather than pretended."""

from dataclasses import replace

import pytest

from patronus.control.agent import wanted
from patronus.control.agent.firewall import concerned
from patronus.control.agent.wanted import Unsupported
from patronus.dataplane.underlay.pinning import check
from tests.control.config.files import config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("{interface: eth1}", "{interface: eth1, kind: plain, port: 99}"), "share one port"),
    ],
)
def test_what_is_not_there_yet_is_refused(change: tuple[str, str], message: str) -> None:
    """Each with a message that names it."""
    with pytest.raises(Unsupported, match=message):
        wanted.check(config(change))
    wanted.check(config())


def test_each_transport_has_its_own_mark_and_table() -> None:
    """No two transports share one, and the marks lie within the mask."""
    pins = wanted.underlay(config())
    assert len({pin.mark for pin in pins}) == len({pin.table for pin in pins}) == len(pins) == 2
    assert all(not pin.mark & ~pin.mask for pin in pins)


def test_a_transport_of_another_price_is_the_same() -> None:
    """A reload that changes what it costs is taken while the agent runs with the elder file."""
    elder = config()
    for transport in elder.transports:
        dearer = replace(transport, cost=transport.cost + 7)
        assert wanted.mark(elder, dearer) == wanted.mark(elder, transport)


def test_mode_mark_has_a_mark_and_table_of_its_own() -> None:
    """Behind those of the most transports that there can be."""
    assert wanted.overlay_pin(config(), "pt-overlay") == []
    marking = config(("state: nowhere", "state: nowhere\ndataplane: {mode: mark}"))
    (pin,) = wanted.overlay_pin(marking, "pt-overlay")
    check([*wanted.underlay(marking), pin])
    assert pin.table > wanted.TABLE_FIRST + wanted.TRANSPORTS_MAX - 1
    assert pin.mark > wanted.TRANSPORTS_MAX << wanted.MARK_SHIFT
    assert not pin.mark & ~pin.mask


def test_vxlan_is_pinned_by_its_port() -> None:
    """The kernel does not mark what its VXLAN devices send."""
    vxlan = config(("kind: plain", "kind: vxlan, port: 4789"))
    assert [pin.vxlan_port for pin in wanted.underlay(vxlan)] == [0, 4789]


CHAIN = {"family": "inet", "table": "t", "name": "c"}
RULE = {"rule": {"family": "inet", "table": "t", "chain": "c"}}


@pytest.mark.parametrize(
    ("chain", "rules", "found"),
    [
        ({"type": "filter", "hook": "forward", "policy": "accept"}, [RULE], ["inet t c"]),
        ({"type": "filter", "hook": "forward", "policy": "drop"}, [], ["inet t c"]),
        ({"type": "filter", "hook": "forward", "policy": "accept"}, [], []),
        ({"type": "filter", "hook": "input", "policy": "drop"}, [RULE], []),
        ({"type": "nat", "hook": "postrouting", "policy": "accept"}, [RULE], ["inet t c"]),
    ],
)
def test_rules_that_would_be_bypassed_are_found(
    chain: dict[str, str], rules: list[dict[str, dict[str, str]]], found: list[str]
) -> None:
    """Forward and NAT rules count, and a forward chain that drops; others do not."""
    assert list(concerned([{"chain": {**CHAIN, **chain}}, *rules])) == found

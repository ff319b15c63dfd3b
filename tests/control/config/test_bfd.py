"""BFD neighbours in the configuration: what they come to, and every mistake."""

import pytest

from patronus.control.config.model import BfdNeighbour
from patronus.control.config.reload import Action, action, diff
from patronus.control.config.surroundings import warnings
from patronus.engine.units import MS
from tests.control.config.files import changed, config, told

STATE = "state: nowhere"
LAN = "{address: 10.1.0.9, interface: eth2}"


def given(*neighbours: str) -> tuple[str, str]:
    """Return a change that adds neighbours."""
    lines = "".join(f"\n  n{number}: {text}" for number, text in enumerate(neighbours))
    return STATE, f"{STATE}\nbfd:{lines}"


def test_neighbours_are_read() -> None:
    """On the LAN or on a transport, with what is usual where nothing is said."""
    more = "{address: '2001:db8::1', transport: lte, interval: 50ms, multiplier: 5, key: k}"
    first, second = config(given(LAN, more)).bfd
    assert first == BfdNeighbour("n0", "10.1.0.9", interface="eth2")
    assert (second.transport, second.interval_ns, second.multiplier) == ("lte", 50 * MS, 5)
    assert (second.key, second.key_id, second.meticulous) == ("k", 1, True)
    assert any("bfd n1: there is no k" in text for text in warnings(config(given(LAN, more))))
    assert action(diff(config(), config(given(LAN)))) is Action.PEERS


@pytest.mark.parametrize(
    ("neighbours", "mistake"),
    [
        (["{address: 10.1.0.9}"], "a neighbour is on a transport or on the LAN; "),
        (["{address: 10.1.0.9, interface: eth2, transport: lte}"],
         "a neighbour is on a transport or on the LAN; `transport`, or the LAN's `interface`"),
        (["{address: 10.1.0.9, interface: eth7}"], "eth7 is no interface of the LAN; one of eth2"),
        (["{address: 10.1.0.9, transport: tle}"], "there is no transport `tle`; "),
        (["{address: 10.1.0.9, interface: eth2, interval: 10ms}"],
         "a program cannot keep this interval; 50ms to 60s"),
        (["{address: 10.1.0.9, interface: eth2, key_id: 3}"], "there is no key to go with it; "),
        (["{address: ff02::1, interface: eth2}"], "`ff02::1` is no host's address; "),
        ([LAN, LAN], "n0 has this address as well; one session with each neighbour"),
    ],
)  # fmt: skip
def test_mistakes_are_told(neighbours: list[str], mistake: str) -> None:
    """Each with its line and what was expected."""
    (found,) = told(changed(given(*neighbours)))
    line, _, what = found.partition(": ")
    assert int(line) == 4 + len(neighbours)
    assert what.startswith(mistake)

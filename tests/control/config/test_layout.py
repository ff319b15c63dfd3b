"""One site's tables: its own rows, everybody's names, risks and prefixes."""

import numpy as np
import pytest

from patronus.control.config.layout import OWN, layout
from patronus.engine.engine import Engine
from patronus.engine.journal import read
from patronus.engine.overlay import I64, alone, build_overlay
from patronus.engine.units import SECOND
from tests.control.config.files import EXAMPLE, KEYS, SMALL, config

DEFAULT = (
    "lan:",
    "destinations: {any: {sites: [oslo, hub], prefixes: [0.0.0.0/0, 172.16.0.0/12]}}\nlan:",
)


def test_our_own_site_comes_first() -> None:
    """Rows are our tunnels in order of peers and transports; others are known by name."""
    made = layout(config(DEFAULT))
    overlay = made.overlay
    assert overlay.sites == ("rome", "hub", "oslo")
    assert overlay.sites[OWN] == "rome"
    assert [overlay.label(row) for row in range(overlay.rows)] == [
        "rome>hub:lte", "rome>hub:mpls", "rome>oslo:mpls",
    ]  # fmt: skip
    assert (overlay.transit, overlay.deciding) == ((1,), 1)
    assert [(d.name, d.sites) for d in overlay.destinations[3:]] == [("any", (2, 1))]
    assert overlay.rank.tolist() == [2, 0, 1]
    assert [lane.endpoint.address for lane in made.lanes] == [None, "192.0.2.1", "192.0.2.2"]
    assert [lane.transport.name for lane in made.lanes] == ["lte", "mpls", "mpls"]


def test_it_is_what_a_network_looks_like_from_here() -> None:
    """The overlay is that of the whole network, seen from one site: names make the same keys."""
    pairs = np.array([(0, 2, 0), (0, 2, 1), (0, 1, 1), (1, 2, 1)], dtype=np.int64)
    whole = build_overlay(
        sites=["hub", "oslo", "rome"], transports=["lte", "mpls"], pairs=pairs, transit=["hub"]
    )
    ours, seen = layout(config()).overlay, alone(whole, 2)
    assert (ours.sites, ours.transit, ours.destinations) == (
        seen.sites, seen.transit, seen.destinations)  # fmt: skip
    for name in ("src", "dst", "transport", "reverse", "key", "rank"):
        assert np.array_equal(getattr(ours, name), getattr(seen, name)), name


def test_risks_are_shared_by_name() -> None:
    """A tunnel crosses the groups of its transport and of the peer's end."""
    made = layout(config(text=EXAMPLE))
    assert made.groups == ("duct-7", "mast-3")
    risks = {made.overlay.label(row): int(made.fates[row, 0]) for row in range(made.overlay.rows)}
    assert risks == {
        "berlin>frankfurt:lte": 2, "berlin>frankfurt:mpls": 1, "berlin>oslo:lte": 0,
    }  # fmt: skip


def test_many_risks_take_several_words() -> None:
    """More than 64 groups are no problem."""
    groups = ", ".join(f"g{n:03}" for n in range(70))
    made = layout(config(("kind: plain", f"kind: plain, groups: [{groups}]")))
    assert made.fates.shape == (3, 2)
    assert made.fates[1].tolist() == [2**64 - 1, 63]
    assert made.fates[0].tolist() == [0, 0]


def test_prefixes_lead_to_destinations() -> None:
    """Every prefix, ours among them, has the number of its destination."""
    made = layout(config(DEFAULT))
    names = {prefix: made.overlay.destinations[number].name for prefix, number in made.prefixes}
    assert names == {
        "10.1.0.0/16": "rome", "10.2.0.0/16": "oslo", "0.0.0.0/0": "any", "172.16.0.0/12": "any",
    }  # fmt: skip


def test_order_in_the_file_changes_no_table() -> None:
    """Numbers follow from names alone."""
    lines = SMALL.splitlines(keepends=True)
    turned = "".join([*lines[:8], lines[12], *lines[8:12]])
    one, other = layout(config()), layout(config(text=turned))
    assert one.prefixes == other.prefixes
    assert one.overlay.sites == other.overlay.sites
    assert np.array_equal(one.overlay.key, other.overlay.key)


@pytest.mark.parametrize(("role", "said"), [("spoke", []), ("hub", [("rome",), ()])])
def test_no_tunnels_at_all(role: str, said: list[tuple[str, ...]]) -> None:
    """A site that waits to be found has tables without rows, and an engine runs on them."""
    nobody = SMALL.partition("peers:")[0] + "seeds: 192.0.2.1:1\n"
    made = layout(config(text=nobody + f"role: {role}\n"))
    assert (made.overlay.rows, made.fates.shape, made.lanes) == (0, (0, 1), ())
    engine = Engine(made.overlay, config().policy, fates=made.fates)
    engine.evaluate([OWN], SECOND)
    engine.set_lan(OWN, up=False, now_ns=2 * SECOND)
    assert engine.journal.count == 0
    assert [a.destinations for a in engine.take().announcements] == said


def test_an_engine_decides_on_them() -> None:
    """What is heard carries traffic; a peer without a tunnel waits until somebody offers one."""
    told = config(("  hub:", f"  paris: {{key: {KEYS[2]}}}\n  hub:"))
    made, lines = layout(told), list[bytes]()
    engine = Engine(made.overlay, told.policy, fates=made.fates, sink=lines.append)
    rows: I64 = np.arange(made.overlay.rows, dtype=np.int64)
    engine.heard(rows, np.zeros_like(rows))
    for second in range(3, 6):
        engine.evaluate([OWN], second * SECOND)
    assert {d.destination for d in read(lines)} == {"hub", "oslo"}

"""What a change asks for, and which changes may cut an agent off."""

from dataclasses import replace

import pytest

from patronus.control.config.reload import Action, action, dangers, diff
from tests.control.config.files import KEYS, config

TWO_CLASSES = ("lan:", "classes: {voice: {match: {dscp: ef}}, rest: {}}\nlan:")

CHANGES: dict[str, tuple[tuple[str, str], list[str], Action]] = {
    "nothing": (("site: rome", "site:   rome"), [], Action.NOTHING),
    "log": (("lan:", "log: debug\nlan:"), ["log changed"], Action.SETTINGS),
    "metrics": (("lan:", "metrics: off\nlan:"), ["metrics changed"], Action.SETTINGS),
    "rotation": (
        ("lan:", "rotate_every: 24h\nlan:"), ["rotate_every changed"], Action.SETTINGS,
    ),
    "next port": (("eth1}", "eth1, next_port: 4501}"), ["transports.lte changed"], Action.RESTART),
    "record": (("lan:", "record: {keep: 7}\nlan:"), ["record changed"], Action.SETTINGS),
    "cost": (("eth1}", "eth1, cost: 7}"), ["policy.cost changed"], Action.POLICY),
    "margin": (
        ("lan:", "policy: {margin: 20%}\nlan:"), ["policy.margin_ppm changed"], Action.POLICY,
    ),
    "limits": (
        ("lan:", "classes: {default: {sla: {loss: 1%}}}\nlan:"), ["policy.classes changed"],
        Action.POLICY,
    ),
    "another class": (TWO_CLASSES, ["policy.classes changed"], Action.PEERS),
    "timers": (
        ("lan:", "policy: {damping: {hold: 3s}}\nlan:"), ["policy.damping changed"], Action.PEERS,
    ),
    "probing": (
        ("eth1}", "eth1, liveness: lte}"), ["policy.liveness changed"], Action.PEERS,
    ),
    "risks": (("eth1}", "eth1, groups: mast}"), ["transports.lte changed"], Action.PEERS),
    "new peer": (
        ("  hub:", f"  paris: {{key: {KEYS[2]}}}\n  hub:"),
        ["peers.paris added"], Action.PEERS,
    ),
    "endpoint": (("192.0.2.2", "192.0.2.3"), ["peers.oslo changed"], Action.PEERS),
    "prefixes": (("10.1.0.0/16", "10.7.0.0/16"), ["lan changed"], Action.PEERS),
    "destination": (
        ("lan:", "destinations: {any: {sites: hub, prefixes: 0.0.0.0/0}}\nlan:"),
        ["destinations.any added"], Action.PEERS,
    ),
    "new transport": (
        ("  lte:", "  sat: {interface: eth7}\n  lte:"),
        ["transports.sat added", "policy.liveness changed"], Action.RESTART,
    ),
    "wire": (("eth1}", "eth1, port: 4500}"), ["transports.lte changed", "peers.hub changed"],
             Action.RESTART),
    "mode": (
        ("lan:", "dataplane: {mode: mark}\nlan:"), ["dataplane changed"], Action.RESTART,
    ),
    "name": (("site: rome", "site: roma"), ["site changed"], Action.RESTART),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_asks_for_what_it_needs(name: str) -> None:
    """Each change is named with its key, and the gravest action counts, both ways."""
    change, named, needed = CHANGES[name]
    found = diff(config(), config(change))
    assert [f"{c.where} {c.what}" for c in found] == named
    assert action(found) is needed
    back = diff(config(change), config())
    assert action(back) is needed
    opposite = {"added": "removed", "changed": "changed"}
    assert [(c.where, c.what) for c in back] == [(c.where, opposite[c.what]) for c in found]


def test_the_gravest_counts() -> None:
    """Several changes are carried out by the gravest of their actions."""
    found = diff(config(), config(("lan:", "log: debug\nlan:"), ("192.0.2.2", "192.0.2.3")))
    assert [c.action for c in found] == [Action.SETTINGS, Action.PEERS]
    assert action(found) is Action.PEERS


SAFE = {
    "nothing": ("site: rome", "site:   rome"),
    "another way to one of two": ("192.0.2.1,", "192.0.2.9,"),
    "cheaper": ("eth1}", "eth1, cost: 7, groups: mast, liveness: lte}"),
    "one of two transports": ("eth1}", "eth1, port: 4500}"),
    "a policy": TWO_CLASSES,
    "one peer more": ("  hub:", f"  paris: {{key: {KEYS[2]}}}\n  hub:"),
}  # fmt: skip


@pytest.mark.parametrize("name", SAFE)
def test_changes_that_cut_nobody_off(name: str) -> None:
    """While each peer keeps a tunnel as it is, the way back is open."""
    assert dangers(config(), config(SAFE[name])) == ()


ALONE = "no tunnel that works today is kept to any site that carries others' traffic"

DANGERS: dict[str, tuple[tuple[tuple[str, str], ...], tuple[str, ...]]] = {
    "name": (
        (("site: rome", "site: roma"),),
        ("the peers know this site by another site, and may refuse the new one",),
    ),
    "identity": (
        (("site: rome", "site: rome\nidentity: other"),),
        ("the peers know this site by another identity, and may refuse the new one",),
    ),
    "both transports": (
        (("eth1}", "eth3}"), ("eth0,", "eth4,")),
        (ALONE, "every tunnel to hub is changed", "every tunnel to oslo is changed"),
    ),
    "the only transport to one": (
        (("eth0,", "eth4,"),), ("every tunnel to oslo is changed",),
    ),
    "the hub's key": ((((KEYS[0]), KEYS[5]),), (ALONE, "every tunnel to hub is changed")),
    "the hub's psk": (
        (("role: hub", "role: hub\n    psk: new"),), (ALONE, "every tunnel to hub is changed"),
    ),
    "both endpoints of the hub": (
        (("{mpls: 192.0.2.1, lte: learned}", "{mpls: 192.0.2.5, lte: 192.0.2.6}"),),
        (ALONE, "every tunnel to hub is changed"),
    ),
    "the hub renamed": (
        (("  hub:", "  hut:"),), (ALONE,),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DANGERS)
def test_changes_that_may_cut_off(name: str) -> None:
    """What gives up all that is known to work is named, and so is whom it concerns."""
    changes, found = DANGERS[name]
    assert dangers(config(), config(*changes)) == found


def test_a_peer_that_goes_is_no_danger_while_a_hub_stays() -> None:
    """To remove a spoke is what was asked for; to remove the last hub may be a mistake."""
    new = config()
    spoke, hub = (replace(new, peers=(peer,)) for peer in reversed(new.peers))
    assert dangers(new, hub) == ()
    assert dangers(new, spoke) == (ALONE,)
    nobody = replace(new, peers=())
    assert dangers(nobody, new) == ()
    assert dangers(new, nobody) == (ALONE,)

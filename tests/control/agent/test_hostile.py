"""Packets of people who mean no good, to a site that carries traffic: counted, and of no effect."""

import contextlib
import random
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from patronus.dataplane.linux.pins import Pins
from patronus.engine.units import MS
from tests.control.agent.attack import (
    BFD,
    MEETING,
    MEMBERS,
    OVERLAY,
    Attacker,
    Tunnel,
)
from tests.control.agent.fleet import Fleet, Site, running, stream, until

pytestmark = pytest.mark.root

TIMES = 20
"""Of each bad packet; the sockets' buffers hold more."""
FLOOD = 20_000
CARRIER = "192.0.2.254"
"""A router that speaks BFD, if it were there."""
STRANGER = "198.51.100.7"

Told = dict[str, Any]
Bad = Callable[[Tunnel], bytes]


@pytest.fixture(scope="module")
def fleet(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Return a spoke and its hub."""

    def change(text: Told) -> None:
        for transport in text["transports"].values():
            transport["liveness"] = {"interval": "50ms", "multiplier": 10}
        text["bfd"] = {"carrier": {"address": CARRIER, "transport": "blue"}}

    with running(tmp_path_factory.mktemp("hostile"), cache, change) as made:
        yield made


@pytest.fixture(scope="module")
def oslo(fleet: Fleet) -> Site:
    """Return the site that is attacked."""
    return fleet["oslo"]


@pytest.fixture(scope="module")
def attacker(fleet: Fleet, oslo: Site) -> Iterator[Attacker]:
    """Return somebody on the wan that carries the traffic."""
    made = Attacker(fleet, oslo, "blue")
    yield made
    made.close()


@pytest.fixture
def unmoved(fleet: Fleet, oslo: Site) -> Iterator[None]:
    """Hold that traffic flows all the time, and that nobody decides anything."""
    fleet.wait()
    before = oslo.show("counters")["decisions"]
    flow = stream(oslo, fleet["hub"])
    yield
    flow.for_s(0.1)
    flow.end()
    assert flow.lost == 0
    assert oslo.show("counters")["decisions"] == before
    assert [t["state"] for t in oslo.show("health")["tunnels"]] == ["up", "up"]


def risen(oslo: Site, before: Told, group: str) -> dict[str, int]:
    """Return by how much the counters of a group have risen."""
    after, old = oslo.show("counters")[group], before[group]
    return {name: count - old.get(name, 0) for name, count in after.items()}


def settle(oslo: Site, before: Told, group: str, wanted: dict[str, int]) -> None:
    """Wait until counters have risen by so much, and no more."""
    with contextlib.suppress(AssertionError):
        until(lambda: wanted.items() <= risen(oslo, before, group).items(), 3)
    found = risen(oslo, before, group)
    assert {name: found.get(name) for name in wanted} == wanted


def cut(tunnel: Tunnel, length: int) -> bytes:
    return tunnel.probe()[:length]


PROBES: dict[str, tuple[str, Bad]] = {
    "no header": ("drop_bad_header", lambda _: b""),
    "half a header": ("drop_bad_header", lambda t: cut(t, 12)),
    "another version": ("drop_bad_header", lambda t: b"\x21" + t.probe()[1:]),
    "no probe": ("drop_bad_probe", lambda t: cut(t, 20)),
    "half a probe": ("drop_bad_probe", lambda t: cut(t, 70)),
    "a byte less": ("drop_bad_probe", lambda t: t.probe()[:-1]),
    "a byte more": ("drop_bad_probe", lambda t: t.probe() + b"\0"),
    "oversized": ("drop_bad_probe", lambda t: t.probe() + bytes(1300)),
    "no such kind": ("drop_bad_probe", lambda t: t.probe(7)),
    "no such tunnel": ("drop_bad_tunnel", lambda t: t.probe(row=900)),
    "beyond the table": ("drop_bad_tunnel", lambda t: t.probe(row=65_535)),
    "a guessed session": ("drop_bad_session", lambda t: t.probe(flip=1)),
}


@pytest.mark.usefixtures("unmoved")
def test_bad_probes_are_counted(fleet: Fleet, oslo: Site, attacker: Attacker) -> None:
    """Cut, too long, forged, under our peer's own address: each under its name, none believed."""
    hub = fleet["hub"].wan("blue")
    tunnel, wanted, before = Tunnel(oslo, hub), dict[str, int](), oslo.show("counters")
    for outcome, bad in PROBES.values():
        frame = attacker.frame(bad(tunnel), source=hub, port=OVERLAY)
        wanted[outcome] = wanted.get(outcome, 0) + attacker.send([frame] * TIMES)
    frame = attacker.frame(tunnel.probe(), source=STRANGER, port=OVERLAY)
    wanted["drop_bad_address"] = attacker.send([frame] * TIMES)
    settle(oslo, before, "outcomes", wanted)


TAIL = 105 + 16
"""What follows the names in a datagram of the meeting, and its tag."""
MEETINGS: dict[str, tuple[str, str, Callable[[bytes], bytes]]] = {
    "nothing": ("meeting_refused", "malformed", lambda _: b""),
    "cut": ("meeting_refused", "malformed", lambda head: head[:9]),
    "too long": ("meeting_refused", "malformed", lambda head: head + bytes(1200)),
    "forged": ("meeting_refused", "forged", lambda head: head + bytes(TAIL)),
    "no such site": ("meeting_refused", "unknown", lambda _: b"PAM2\x01x\x04blue" + bytes(TAIL)),
    "no name": ("meeting_refused", "unknown", lambda _: b"PAM2\x02\xff\xfe\x04blue" + bytes(TAIL)),
    "path MTU, cut": ("path_mtu", "malformed", lambda _: b"PtMu\x01"),
    "path MTU, wrong size": ("path_mtu", "malformed", lambda _: b"PtMu\x01" + bytes(500)),
    "path MTU, forged": ("path_mtu", "forged or late", lambda _: b"PtMu\x02" + bytes(15)),
}


@pytest.mark.usefixtures("unmoved")
def test_bad_datagrams_of_ends_are_counted(fleet: Fleet, oslo: Site, attacker: Attacker) -> None:
    """Whoever is not our peer is neither met nor believed about how large packets may be."""
    hub = fleet["hub"]
    name, before = hub.site.encode(), oslo.show("counters")
    head = b"PAM2" + bytes([len(name)]) + name + b"\x04blue"
    wanted: dict[str, dict[str, int]] = {"meeting_refused": {}, "path_mtu": {}}
    for group, why, bad in MEETINGS.values():
        frame = attacker.frame(bad(head), source=hub.wan("blue"), port=MEETING)
        wanted[group][why] = wanted[group].get(why, 0) + attacker.send([frame] * TIMES)
    for group, counts in wanted.items():
        settle(oslo, before, group, counts)
    assert oslo.tunnel("blue>hub")["path_mtu"] == 1500


@pytest.mark.usefixtures("unmoved")
def test_bad_announcements_are_counted(fleet: Fleet, oslo: Site, attacker: Attacker) -> None:
    """Rubbish, cut and oversized: every one is refused for a reason, and the peer stays live."""
    luck, hub = random.Random(1), fleet["hub"]
    before = oslo.show("counters")
    sizes = [luck.randrange(1400) for _ in range(5 * TIMES)]
    sent = attacker.send(
        attacker.frame(luck.randbytes(size), source=hub.wan("blue"), port=MEMBERS) for size in sizes
    )
    until(lambda: sum(risen(oslo, before, "members_refused").values()) == sent)
    assert oslo.show("health")["members"] == {hub.site: "live"}


CONTROL = struct.pack("!BBBBIIIII", 0x20, 0x40, 3, 24, 77, 0, 1_000_000, 1_000_000, 0)
"""A BFD Control packet of a neighbour that begins (RFC 5880 section 4.1)."""
SESSIONS: dict[str, tuple[str, bytes, str, int]] = {
    "cut": ("length_long", CONTROL[:20], CARRIER, 255),
    "next to nothing": ("payload_short", CONTROL[:3], CARRIER, 255),
    "another version": ("version", b"\x40" + CONTROL[1:], CARRIER, 255),
    "length of less": ("length_short", CONTROL[:3] + b"\x08" + CONTROL[4:], CARRIER, 255),
    "length of more": ("length_long", CONTROL[:3] + b"\xff" + CONTROL[4:], CARRIER, 255),
    "oversized": ("my_discriminator_zero", CONTROL[:3] + b"\xff" + bytes(1300), CARRIER, 255),
    "from far away": ("ttl", CONTROL, CARRIER, 254),
    "of nobody": ("no_session", CONTROL, STRANGER, 255),
    "up at once": ("your_discriminator_zero", b"\x20\xc0" + CONTROL[2:], CARRIER, 255),
}


@pytest.mark.usefixtures("unmoved")
def test_bad_bfd_packets_are_counted(oslo: Site, attacker: Attacker) -> None:
    """Each has the reason of RFC 5880 for which it is discarded; no session comes of it."""
    before, wanted = oslo.show("counters"), dict[str, int]()
    for why, payload, source, ttl in SESSIONS.values():
        frame = attacker.frame(payload, source=source, port=BFD, ttl=ttl)
        wanted[why] = wanted.get(why, 0) + attacker.send([frame] * TIMES)
    settle(oslo, before, "bfd_refused", wanted)
    (carrier,) = oslo.show("bfd")["neighbours"]
    assert carrier["state"] == "down"


@pytest.mark.usefixtures("unmoved")
def test_a_flood_moves_nothing_and_starves_nobody(
    fleet: Fleet, oslo: Site, attacker: Attacker
) -> None:
    """Forged probes and datagrams, as fast as they can be sent: the agent answers meanwhile."""
    hub = fleet["hub"].wan("blue")
    tunnel, before = Tunnel(oslo, hub), oslo.show("counters")
    probe = attacker.frame(tunnel.probe(flip=1), source=hub, port=OVERLAY)
    others = [attacker.frame(bytes(90), source=hub, port=port) for port in (MEETING, MEMBERS, BFD)]
    waited_s = 0.0
    for _ in range(10):
        attacker.send([probe] * (FLOOD // 10))
        attacker.send(others * (FLOOD // 100))
        began = time.monotonic()
        assert oslo.ask("show", "bfd") is not None
        waited_s = max(waited_s, time.monotonic() - began)
    assert waited_s < 2
    until(lambda: risen(oslo, before, "outcomes")["drop_bad_session"] == FLOOD)


@pytest.mark.usefixtures("unmoved")
def test_a_pause_of_the_machine_is_counted(oslo: Site) -> None:
    """What this end slept is excused and told; no tunnel goes down."""
    before = oslo.show("counters")
    with Pins.open(oslo.pins) as pins:
        settings, pacing = pins.array("settings"), pins.array("pacing")
        until(lambda: int(settings["pause_left_ns"][0]) > 20 * MS)
        while int(pacing["pauses"][0]) == before["pauses"]:  # a turn may come amid this
            settings["awake_until_ns"] = time.monotonic_ns() - 15 * MS
    after = oslo.show("counters")
    assert after["pauses"] > before["pauses"]
    assert after["paused_ns"] >= before["paused_ns"] + 15 * MS


def test_a_second_agent_is_one_too_many(oslo: Site) -> None:
    """It ends with a message and changes nothing."""
    done = oslo.call("run")
    assert (done.returncode, "another agent" in done.stderr) == (2, True)
    assert "Traceback" not in done.stderr
    assert oslo.show("health") is not None

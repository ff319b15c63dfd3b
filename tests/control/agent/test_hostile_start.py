"""A site whose machine is not as it should be: it says so, and forwards as far as it can."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.control.agent.fleet import Fleet, Site, run, stream, unique, until
from tests.rules.tree import ROOT

pytestmark = pytest.mark.root

Text = dict[str, Any]


def calm(text: Text) -> None:
    """Let a busy machine be no reason to take anything for dead."""
    for transport in text["transports"].values():
        transport["liveness"] = {"interval": "50ms", "multiplier": 10}


@pytest.fixture(scope="module")
def fleet(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Return a hub that runs, and a spoke that each test starts as it likes."""
    made = Fleet(tmp_path_factory.mktemp("start"), cache, unique(), names=("hub", "oslo"))
    try:
        made.build()
        for site in made.sites.values():
            site.write(calm)
        made["hub"].start()
        yield made
    finally:
        made.close()


@pytest.fixture
def oslo(fleet: Fleet) -> Iterator[Site]:
    """Return the spoke, not started; afterwards it is stopped and its file as before."""
    site = fleet["oslo"]
    site.log.write_bytes(b"")
    yield site
    if site.process is not None:
        site.stop()
    site.write(calm)


def refused(site: Site, *before: str) -> tuple[int, str]:
    """Start an agent that cannot run; return its exit code and what it said."""
    enter, net, *words = site.words("run", "--cache", str(site.folder / "cache"))
    done = subprocess.run([enter, net, *before, *words], cwd=ROOT, capture_output=True, text=True,
                          timeout=60, check=False)  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


def unknown_transport(text: Text) -> None:
    (peer,) = text["peers"].values()
    peer["endpoints"]["green"] = "192.0.4.1"


def test_an_unknown_transport_is_named(oslo: Site) -> None:
    """Where it stands, and which there are."""
    oslo.write(unknown_transport)
    code, said = refused(oslo)
    assert code == 2
    assert "there is no transport `green`" in said
    assert "expected: blue, red" in said


def test_a_peer_with_our_own_key_is_refused(oslo: Site) -> None:
    """A machine that was copied with its keys: told at start, before anything is changed."""

    def copied(text: Text) -> None:
        (peer,) = text["peers"].values()
        peer["key"] = oslo.identity.public.text

    oslo.write(copied)
    code, said = refused(oslo)
    assert (code, "this is our own key" in said) == (2, True)


def test_without_rights_it_says_which_are_missing(oslo: Site) -> None:
    """Root in a container has often lost them."""
    code, said = refused(oslo, "setpriv", "--bounding-set=-all", "--inh-caps=-all")
    assert (code, "CAP_NET_ADMIN and CAP_SYS_ADMIN" in said) == (2, True)


@contextlib.contextmanager
def small_disk(folder: Path, options: str = "size=512k") -> Iterator[Path]:
    """Put a disk of little size in the place of a folder."""
    folder.mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", f"{options},mode=700", "none", str(folder))
    try:
        yield folder
    finally:
        run("umount", "--lazy", str(folder))


def fill(folder: Path) -> None:
    """Leave no room on a disk, to the byte."""
    file = os.open(folder / "filler", os.O_WRONLY | os.O_CREAT)
    for size in (4096, 1):
        with contextlib.suppress(OSError):
            while os.write(file, bytes(size)):
                pass
    os.close(file)


def wireguard(text: Text) -> None:
    for number, transport in enumerate(text["transports"].values()):
        transport |= {"kind": "wireguard", "port": 51_820 + number}


def test_keys_that_cannot_be_kept_are_not_used(oslo: Site) -> None:
    """No key is made that the next start would not find; the machine is to blame, not the file."""
    oslo.write(wireguard)
    with small_disk(oslo.folder / "state") as state:
        (state / "keys").mkdir(mode=0o700)
        fill(state)
        code, said = refused(oslo)
    assert code == 4
    assert "keys/blue: the disk is full" in said


def test_an_identity_that_cannot_be_kept_is_not_made(oslo: Site) -> None:
    """Nobody would know it after the next start."""
    oslo.write(lambda text: text.update(identity="state/new.key"))
    with small_disk(oslo.folder / "state") as state:
        (state / "agent.lock").touch()
        fill(state)
        code, said = refused(oslo)
    assert code == 4
    assert "new.key: No space left on device" in said


@pytest.mark.slow
@pytest.mark.parametrize("options", ["ro", "size=4k,nr_inodes=1"])
def test_without_a_control_socket_packets_flow(fleet: Fleet, oslo: Site, options: str) -> None:
    """A run folder that is read-only or full: told, tried again, and no reason to stand still."""
    with small_disk(oslo.folder / "run", options):
        launch(fleet, oslo)
        until(lambda: "nobody can ask this agent: " in oslo.log.read_text())
        flow = stream(oslo, fleet["hub"])
        until(lambda: flow.came)
        flow.end()
        assert "Traceback" not in oslo.log.read_text()
    until(oslo.answers)


def launch(fleet: Fleet, site: Site, program: str = "patronus") -> None:
    """Start an agent, and wait for nothing."""
    words = site.words("run", "--cache", str(fleet.cache))
    words = [program if word == "patronus" else word for word in words]
    with site.log.open("ab") as log:
        site.process = subprocess.Popen(words, cwd=ROOT, stdout=log, stderr=log)


@pytest.mark.slow
def test_interfaces_that_come_later_are_taken(fleet: Fleet, oslo: Site) -> None:
    """A transport and the LAN are gone at start: the other transport carries, then all is well."""
    run("ip", "-n", oslo.router, "link", "del", "red")
    run("ip", "-n", oslo.router, "link", "del", "lan")
    oslo.start()
    until(lambda: oslo.tunnel("blue>hub")["state"] == "up")
    until(lambda: "lan: there is no interface lan" in oslo.show("health")["troubles"])
    assert "transport red on red: no interface" in oslo.show("health")["troubles"]
    assert oslo.show("paths")[0]["path"] == f"blue>{fleet['hub'].site}"
    oslo.plug(fleet.bridges["red"], "red")
    oslo.lay()
    fleet.wait()
    until(lambda: oslo.show("health")["lan_up"])
    flow = stream(oslo, fleet["hub"])
    flow.for_s(0.1)
    flow.end()
    assert flow.lost == 0


def test_an_mtu_of_576_narrows_one_tunnel_alone(fleet: Fleet, oslo: Site) -> None:
    """What is larger is cut and arrives; the other transport keeps its size."""
    for site in fleet.sites.values():
        run("ip", "-n", site.router, "link", "set", "blue", "mtu", "576")
    oslo.start()
    fleet.wait()
    until(lambda: oslo.tunnel("blue>hub")["mtu"] == 576 - 48)
    assert oslo.tunnel("red>hub")["mtu"] == 1500 - 48
    receiver, sender = fleet["hub"].udp(7001), oslo.udp()
    receiver.settimeout(5)
    sender.setsockopt(0, 10, 0)  # IP_MTU_DISCOVER: may be fragmented
    for size in (100, 500, 501, 1200):
        sender.sendto(bytes(size), receiver.getsockname())
        assert len(receiver.recv(2000)) == size
    sender.close()
    receiver.close()
    for site in fleet.sites.values():
        run("ip", "-n", site.router, "link", "set", "blue", "mtu", "1500")


@pytest.mark.slow
def test_a_full_disk_costs_recordings_and_no_packet(fleet: Fleet, oslo: Site) -> None:
    """While it runs, and at the next start: told once each, and the traffic goes on."""
    with small_disk(oslo.folder / "state") as state:
        oslo.start()
        fleet.wait()
        flow = stream(oslo, fleet["hub"])
        fill(state)
        until(lambda: oslo.show("health")["recording"] is None)
        assert oslo.stop() == 0
        oslo.start()
        assert oslo.show("health")["recording"] is None
        fleet.wait()
        flow.end()
        assert oslo.stop() == 0
    assert flow.lost == 0
    said = oslo.log.read_text()
    assert said.count("recording stopped") == 2
    assert "members.json: No space left on device; going on" in said


@pytest.mark.slow
def test_a_clock_that_jumps_changes_nothing(fleet: Fleet, oslo: Site) -> None:
    """An hour off at every reading: nobody is taken for dead, no announcement for old."""
    launch(fleet, oslo, "tests.control.agent.jumping")
    until(oslo.answers)
    fleet.wait()
    hub, before = fleet["hub"], oslo.show("paths")
    refused_before = hub.show("counters")["members_refused"]
    flow = stream(oslo, hub)
    flow.for_s(1.5)
    flow.end()
    assert flow.lost == 0
    assert oslo.show("paths") == before
    assert "down tunnel" not in oslo.log.read_text()
    assert hub.show("counters")["members_refused"] == refused_before
    assert hub.show("health")["members"] == {oslo.site: "live"}
    assert oslo.show("health")["members"] == {hub.site: "live"}
    # Numbers are above those that an hour ahead was used for: the next start is believed as well.
    assert oslo.stop() == 0
    oslo.start()
    until(lambda: oslo.show("health")["members"] == {hub.site: "live"})

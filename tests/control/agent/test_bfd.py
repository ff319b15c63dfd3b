"""BFD in the agent: a LAN's router and a provider's, their failures, and what comes of them."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from patronus.control.agent import bfd
from patronus.control.agent.wanted import Unsupported
from patronus.dataplane.bfd.authentication import Authentication, AuthType
from patronus.dataplane.bfd.intervals import Settings
from patronus.dataplane.bfd.sockets import Peer
from tests.control.agent.fleet import Fleet, run, unique, until
from tests.control.config.files import config
from tests.interop.frr import frr
from tests.interop.speaker import speaker

ROUTER = "192.0.2.254"
"""The provider's, on the wan that has no quick probes."""
PACE = Settings(desired_min_tx_us=300_000, required_min_rx_us=300_000, detect_mult=10)
KEY = b"seventeen letters"
STATE = "state: nowhere"


def keyed(path: Path) -> tuple[str, str]:
    """Return a change that adds a neighbour with a key."""
    return STATE, (f"{STATE}\nbfd: {{core: {{address: 10.1.0.9, interface: eth2, key: {path}, "
                   "key_id: 7, meticulous: off}}")  # fmt: skip


def test_keys_are_read(tmp_path: Path) -> None:
    """Without the end of the line; what cannot be read or is too long is told with its file."""
    path = tmp_path / "key"
    with pytest.raises(Unsupported, match=f"bfd core: {path} cannot be read: No such file"):
        bfd.keys(config(keyed(path)))
    path.write_bytes(KEY + b"\n")
    (found,) = bfd.keys(config(keyed(path))).values()
    assert (found.auth_type, found.keys) == (AuthType.KEYED_SHA1, {7: KEY})
    path.write_bytes(b"x" * 21)
    with pytest.raises(Unsupported, match=f"bfd core: {path}: .* 21 octets"):
        bfd.keys(config(keyed(path)))
    assert bfd.keys(config()) == {}


@pytest.fixture(scope="module")
def fleet(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Return three sites: oslo has a router on its LAN and one at a wan, rome stands ready."""
    made = Fleet(tmp_path_factory.mktemp("bfd"), cache, unique())

    def change(text: dict[str, Any]) -> None:
        both = [made["oslo"].site, made["rome"].site]
        text["destinations"] = {"cloud": {"sites": both, "prefixes": "10.77.0.0/24"}}
        text["transports"]["blue"]["liveness"] = {"interval": "2s", "multiplier": 10}

    def watching(text: dict[str, Any]) -> None:
        change(text)
        pace: dict[str, Any] = {"interval": "300ms", "multiplier": 10}
        text["bfd"] = {
            "core": {"address": "10.2.0.2", "interface": "lan", **pace},
            "carrier": {"address": ROUTER, "transport": "blue", "key": "bfd.key", **pace},
        }

    try:
        made.build()
        for site in made.sites.values():
            site.write(watching if site.name == "oslo" else change)
        (made["oslo"].folder / "bfd.key").write_bytes(KEY + b"\n")
        run("ip", "-n", made.bridges["blue"], "addr", "add", f"{ROUTER}/24", "dev", "bridge")
        made.start()
        yield made
    finally:
        made.close()


def neighbour(fleet: Fleet, name: str) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = [n for n in fleet["oslo"].show("bfd")["neighbours"] if n["neighbour"] == name]
    return found


def cloud(fleet: Fleet) -> str:
    """Return where the hub sends what both sites announce."""
    path = next(p for p in fleet["hub"].show("paths") if p["destination"] == "cloud")
    return str(path["path"])


@pytest.mark.root
@pytest.mark.slow
def test_a_failed_router_of_the_lan_takes_its_site_out(fleet: Fleet) -> None:
    """Never up, FRR's bfdd tells nothing; silent after that, traffic goes to the other site."""
    oslo, rome = fleet["oslo"], fleet["rome"]
    fleet.wait()
    assert neighbour(fleet, "core")["state"] == "down"
    assert oslo.show("health")["lan_up"]
    until(lambda: cloud(fleet).endswith(oslo.site))
    with frr(oslo.host) as router:
        router.peer("10.2.0.1", "10.2.0.2", "eth", "no shutdown")
        until(lambda: neighbour(fleet, "core")["state"] == "up")
        assert oslo.show("bfd")["lan_up"]
        os.kill(router.pid, signal.SIGSTOP)
        try:
            until(lambda: not oslo.show("health")["lan_up"])
            until(lambda: cloud(fleet).endswith(rome.site))
            assert neighbour(fleet, "core")["failed"]
            told = oslo.call("show", "bfd").stdout
            assert "failed: control detection time expired" in told
        finally:
            os.kill(router.pid, signal.SIGCONT)
        until(lambda: oslo.show("health")["lan_up"])
        until(lambda: cloud(fleet).endswith(oslo.site))


@pytest.mark.root
@pytest.mark.slow
def test_a_failed_router_of_a_provider_takes_its_tunnels_out(fleet: Fleet) -> None:
    """Long before their own probes would miss anything; BFD is authenticated, and shown so."""
    oslo = fleet["oslo"]
    fleet.wait()
    with ExitStack() as stack:
        router = stack.enter_context(speaker(fleet.bridges["blue"]))
        agreed = Authentication(AuthType.METICULOUS_KEYED_SHA1, {1: KEY}, 1)
        peer = Peer(ip_address(oslo.wan("blue")), None, ip_address(ROUTER))
        router.ask(lambda: router.driver.add(peer, PACE, authentication=agreed))
        until(lambda: neighbour(fleet, "carrier")["state"] == "up")
        assert "authenticated" in oslo.call("show", "bfd").stdout
        assert oslo.tunnel("blue>hub")["state"] == "up"
        stack.close()
        # 20 s of silence would be needed without BFD.
        until(lambda: oslo.tunnel("blue>hub")["state"] != "up", 10)
    assert neighbour(fleet, "carrier")["why"] == "control_detection_time_expired"
    until(lambda: oslo.show("paths")[0]["path"].startswith("red>"))


@pytest.mark.root
@pytest.mark.slow
def test_a_router_that_is_shut_down_on_purpose_has_not_failed(fleet: Fleet) -> None:
    """AdminDown of the neighbour's ends the session and says nothing of the way."""
    oslo = fleet["oslo"]
    with frr(oslo.host) as router:
        router.peer("10.2.0.1", "10.2.0.2", "eth", "no shutdown")
        until(lambda: neighbour(fleet, "core")["state"] == "up")
        router.peer("10.2.0.1", "10.2.0.2", "eth", "shutdown")
        until(lambda: neighbour(fleet, "core")["state"] == "down")
        assert not neighbour(fleet, "core")["failed"]
        assert oslo.show("health")["lan_up"]

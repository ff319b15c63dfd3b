"""Good files become the records that they describe."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from patronus.control.config import ConfigError, load, parse
from patronus.control.config.model import (
    Endpoint,
    Kind,
    LanInterface,
    Metrics,
    Mode,
    Pacing,
    Recording,
    Role,
)
from patronus.engine.policy import PROFILES, LivenessProfile, WhenNone
from patronus.engine.units import MS, SECOND
from tests.control.config.files import EXAMPLE, SMALL, changed, config

HEAVY = "matplotlib networkx numpy pandas pyarrow scipy simpy click"


def test_the_example_of_the_page() -> None:
    """Every key of the complete example arrives in its record."""
    it = config(text=EXAMPLE)
    assert (it.site, it.role, it.log) == ("berlin", Role.SPOKE, "info")
    assert (it.identity, it.state, it.run) == (
        "keys/berlin.key", "/var/lib/patronus", "/run/patronus")  # fmt: skip
    lte, mpls = it.transports
    assert (mpls.address, mpls.gateway, mpls.kind, mpls.port) == (
        "10.0.0.2", "10.0.0.1", Kind.PLAIN, 4789)  # fmt: skip
    assert (mpls.liveness, mpls.groups, mpls.mtu) == (PROFILES["fabric"], ("duct-7",), None)
    assert (lte.address, lte.gateway, lte.kind, lte.cost, lte.mtu) == (
        None, None, Kind.WIREGUARD, 100, 1428)  # fmt: skip
    assert lte.liveness == LivenessProfile("200ms×5", 200 * MS, 5)
    assert it.lan.interfaces == (LanInterface("eth2"), LanInterface("eth3", 20))
    assert it.lan.prefixes == ("10.1.0.0/16", "2001:db8:1::/48")
    frankfurt, oslo, rome = it.peers
    assert frankfurt.endpoints == {
        "lte": Endpoint("203.0.113.9", 4500, ("mast-3",)), "mpls": Endpoint("10.0.0.9", 4789),
    }  # fmt: skip
    assert (frankfurt.role, frankfurt.psk) == (Role.HUB, "keys/frankfurt.psk")
    assert oslo.endpoints == {"lte": Endpoint(None, 51_820)}
    assert rome.endpoints == {}
    assert it.seeds == (("203.0.113.9", 4510),)
    (internet,) = it.destinations
    assert internet.sites == ("frankfurt", "oslo")
    assert internet.prefixes == ("0.0.0.0/0", "::/0")
    assert it.ipv6 == ("2001:db8:1::/48", "::/0")
    assert it.policy.liveness == {"mpls": PROFILES["fabric"], "lte": lte.liveness}
    assert it.policy.cost == {"lte": 100}
    voice, rest = it.policy.classes
    assert (voice.sla.latency_ns, voice.sla.prefer) == (150 * MS, ("mpls",))
    assert (rest.matches, rest.sla.when_none) == ((), WhenNone.BEST)
    assert it.policy.damping.hold_ns == 2 * SECOND
    assert (it.dataplane.mode, it.dataplane.probes) == (Mode.REDIRECT, Pacing.KERNEL)
    assert (it.dataplane.firewall_bypass, it.dataplane.fallback) == (False, True)
    assert (it.metrics, it.record) == (Metrics(), Recording())


def test_what_is_left_out_has_the_stated_default() -> None:
    """The defaults of the records are those that the schema tells."""
    it = config()
    assert it.role is Role.SPOKE
    assert (it.identity, it.run) == ("nowhere/identity.key", "/run/patronus")
    assert it.recordings == "nowhere/recordings"
    assert (it.metrics, it.record, it.enrolment, it.seeds) == (Metrics(), Recording(), "", ())
    assert config(("lan:", "metrics: off\nrecord: off\nlan:")).metrics is None
    assert config(("lan:", "record: off\nlan:")).record is None
    assert config(("lan:", "record: {size: 2GB, keep: 9}\nlan:")).record == Recording(2 * 10**9, 9)


def test_order_in_the_file_means_nothing() -> None:
    """The same told in another order is the same configuration."""
    head, _, peers = SMALL.partition("peers:\n")
    hub, _, oslo = peers.partition("  oslo")
    lanes = ("  mpls: {interface: eth0, kind: plain}\n", "  lte: {interface: eth1}\n")
    assert "".join(lanes) in head
    turned = head.replace("".join(lanes), "".join(reversed(lanes)))
    assert parse(f"{turned}peers:\n  oslo{oslo}{hub}") == parse(SMALL)


def test_files_lie_beside_the_file_that_names_them(tmp_path: Path) -> None:
    """A base, a shared policy, keys and folders are found relative to where they are written."""
    shared = "version: 1\nmargin: 20%\nclasses: {voice: {match: {dscp: ef}}, rest: {}}\n"
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "policy.yml").write_text(shared)
    base = SMALL.replace("site: rome\n", "site: rome\npolicy: policy.yml\nidentity: key\n")
    (tmp_path / "base" / "all.yml").write_text(base)
    (tmp_path / "agent.yml").write_text(
        "version: 1\nextends: base/all.yml\nsite: paris\nrun: here\n"
        "classes: {voice: {prefer: lte}}\n"
    )
    it = load(tmp_path / "agent.yml")
    assert it.site == "paris"
    assert it.identity == str(tmp_path / "base" / "key")
    assert it.state == str(tmp_path / "base" / "nowhere")
    assert it.run == str(tmp_path / "here")
    assert [c.name for c in it.policy.classes] == ["voice", "rest"]
    assert it.policy.classes[0].sla.prefer == ("lte",)
    assert it.policy.margin_ppm == 200_000


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (None, "no such file"), (b"", "the file is empty"), (b"a\0b", "this is a binary file"),
        (b"- a\n", "this is not a mapping"), (b"# nothing\n", "nothing but comments"),
        (b"x" * (2 << 20), "larger than 1 MiB"), (b"a: \xff\n", "line 1 is not UTF-8"),
    ],
)  # fmt: skip
def test_files_that_are_no_configuration(tmp_path: Path, data: bytes | None, what: str) -> None:
    """Whatever lies there instead is one clear mistake."""
    path = tmp_path / "agent.yml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [what in mistake.what for mistake in caught.value.mistakes] == [True]
    assert data != b"" or "an agent's configuration" in caught.value.mistakes[0].expected


def test_reading_needs_neither_arrays_nor_the_simulator(tmp_path: Path) -> None:
    """The agent reads its file without anything that it has no memory for."""
    (tmp_path / "agent.yml").write_text(changed())
    code = (
        "import sys\nfrom patronus.control.config import load\nload('agent.yml')\n"
        "print(*{m.split('.')[0] for m in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env=os.environ,
    )
    assert not set(done.stdout.split()) & set(HEAVY.split())


def test_laying_it_out_needs_no_more_than_numpy(tmp_path: Path) -> None:
    """Neither do the tables of the engine, but for NumPy."""
    code = (
        "import sys\nfrom patronus.control.config import layout, reload, surroundings\n"
        "print(*{m.split('.')[0] for m in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert set(done.stdout.split()) & set(HEAVY.split()) == {"numpy"}

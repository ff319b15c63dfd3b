"""What a machine lacks for a configuration is told, and is no mistake."""

from dataclasses import replace
from pathlib import Path

import pytest

from patronus.control.config.surroundings import warnings
from tests.control.command import patronus
from tests.control.config.files import SMALL, changed, config


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Return the interfaces of a machine that has all that the small configuration names."""
    for name in ("eth0", "eth1", "eth2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mtu").write_text("1500\n")
    return tmp_path


def told(machine: Path, *changes: tuple[str, str], about: str) -> list[str]:
    """Return the warnings that speak of something."""
    return [text for text in warnings(config(*changes), machine) if about in text]


def test_interfaces_that_are_not_there(machine: Path) -> None:
    """A missing interface may still come, so it is a warning."""
    assert told(machine, about="interface") == []
    (machine / "eth1" / "mtu").unlink()
    (machine / "eth1").rmdir()
    (machine / "eth2" / "mtu").unlink()
    (machine / "eth2").rmdir()
    assert told(machine, about="interface") == [
        "transport lte: there is no interface eth1 here", "lan: there is no interface eth2 here",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["576", "576\n"])
def test_an_interface_that_is_too_small(machine: Path, text: str) -> None:
    """An MTU of 576 carries no IPv6, and is less than what the file claims."""
    (machine / "eth1" / "mtu").write_text(text)
    (small,) = told(machine, about="MTU")
    assert small.startswith("transport lte: an MTU of 576 is too small for IPv6, which needs 1340")
    claim = ("eth1}", "eth1, mtu: 1400}")
    assert told(machine, claim, about="less than the 1400 given") != []
    (machine / "eth1" / "mtu").write_text("many")
    assert told(machine, about="MTU") == []
    assert told(machine, ("eth1}", "eth1, mtu: 576}"), about="too small for IPv6") != []


def test_nobody_to_talk_to(machine: Path) -> None:
    """A file without peers and seeds is possible, and probably not meant."""
    nobody = replace(config(), peers=())
    assert "there is neither a peer nor a seed, so nobody will be reached" in warnings(
        nobody, machine
    )
    seeds = ("lan:", "seeds: 192.0.2.9:1\nlan:")
    assert told(machine, seeds, about="`enrolment`") != []
    assert told(machine, (", prefixes: 10.1.0.0/16", ""), about="announces no prefix") != []


def test_what_can_be_forged_and_passed(machine: Path) -> None:
    """Tunnels without encryption are named, and so is a firewall that is passed by."""
    assert told(machine, about="forge") == [
        (
            "transport mpls: plain tunnels do not encrypt, and who sees their packets can forge "
            "liveness"
        )
    ]
    bypass = ("lan:", "dataplane: {accept_firewall_bypass: on}\nlan:")
    assert told(machine, bypass, about="firewall") != []
    assert told(machine, about="firewall") == []


def test_files_that_are_not_there(machine: Path) -> None:
    """A key of ours will be made; one that we share must come."""
    assert told(machine, about="nowhere/identity.key is not there; a key is made") != []
    psk = ("role: hub", "role: hub\n    psk: none")
    assert told(machine, psk, about="peer hub: there is no none") != []


# ------------------------------------------------------------ the command


def test_check_config_prints_what_the_file_comes_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Transports, peers, destinations and warnings; the end is 0 and nothing is written."""
    monkeypatch.chdir(tmp_path)
    Path("agent.yml").write_text(SMALL)
    done = patronus("agent", "check-config", "agent.yml")
    assert (done.exit_code, done.stderr) == (0, "")
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines[0] == "rome (agent.yml)"
    assert lines[1].startswith("spoke, 2 peers, 3 tunnels, packets by redirect, ")
    words = [" ".join(line.split()) for line in lines]
    assert "mpls plain on eth0 address by DHCP port 51820 100ms × 3 = 300ms cost 0" in words
    assert any("port 51820 and 51920 in turn" in line for line in words)
    assert "WireGuard keys are replaced when asked for" in lines
    assert "oslo  spoke  mpls       10.2.0.0/16" in lines
    assert "rome  here  10.1.0.0/16" in lines
    assert any(line.startswith("warning: nowhere/identity.key") for line in lines)
    assert lines[-1] == "Nothing is wrong with it."
    assert [p.name for p in tmp_path.iterdir()] == ["agent.yml"]


def test_check_config_tells_every_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad file ends with 2, and with each mistake as scenarios have it."""
    monkeypatch.chdir(tmp_path)
    Path("agent.yml").write_text(changed(("{mpls: 192.0.2.1,", "{mlps: 192.0.2.1,")))
    done = patronus("agent", "check-config", "agent.yml")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == (
        "patronus: a mistake in what was given; nothing was changed\n\n"
        "agent.yml:12:17: there is no transport `mlps`\n"
        "   12 |     endpoints: {mlps: 192.0.2.1, lte: learned}\n"
        "      |                 ^^^^\n"
        "  expected: mpls, lte\n"
        "  help: did you mean `mpls`?\n\n"
        "Reproduce: patronus agent check-config agent.yml\n"
    )
    done = patronus("agent", "chek-config", "agent.yml")
    assert done.exit_code == 2
    assert "did you mean `check-config`?" in done.stderr

"""Every mistake is told with its line, what was expected, and where possible what was meant."""

import base64
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from patronus.control.config import ConfigError, load
from tests.control.config.files import KEYS, SMALL, changed, told

MISTAKES: dict[str, tuple[tuple[str, str], str]] = {
    "unknown key": (("role: hub", "rolle: hub"), "11: unknown key `rolle`; "),
    "misspelt transport": (
        ("{mpls: 192.0.2.1,", "{mlps: 192.0.2.1,"),
        "12: there is no transport `mlps`; mpls, lte; did you mean `mpls`?",
    ),
    "key twice": (("site: rome", "site: rome\nsite: paris"), "3: `site` is given twice; "),
    "our own name": (
        ("site: rome", "site: hub"),
        "9: `hub` is this site itself; the name of another site; `site: hub` is in line 2",
    ),
    "one key for two": (
        (KEYS[1], KEYS[0]),
        "13: two peers have this key; each site's own key; the other is in line 10",
    ),
    "key too short": ((KEYS[1], "AAAA"), "13: this key has 3 bytes, a public key has 32; "),
    "key no base64": ((KEYS[1], "secret!"), "13: `secret!` is not base64; "),
    "key written oddly": (
        (KEYS[1], f"{'B' * 42}B="),
        (f"13: this is not how the key is written; a public key, 32 bytes in base64; "
        f"write `{'B' * 42}A=`"),
    ),
    "MTU below all": (
        ("eth1}", "eth1, mtu: 500}"),
        "6: 500 is too small: at least 576; an MTU from 576 to 65535; ",
    ),
    "MTU too small for IPv6": (
        ("eth1}\nlan: {interfaces: eth2, prefixes: 10.1.0.0/16}",
         'eth1, mtu: 576}\nlan: {interfaces: eth2, prefixes: "2001:db8::/32"}'),
        ("6: an MTU of 576 is too small for IPv6; "
        "at least 1340: 1280 (RFC 8200) and the tunnel's headers; "
        "or carry no IPv6; 2001:db8::/32 is carried now"),
    ),
    "no unit": (
        ("eth1}", "eth1, liveness: {interval: 20, multiplier: 3}}"),
        ("6: `20` has no unit; a duration above zero such as 300ms or 30s; "
        "write `20ms` or `20s`"),
    ),
    "unknown profile": (
        ("eth1}", "eth1, liveness: fabrik}"),
        ("6: unknown liveness profile `fabrik`; "
        "a liveness profile: fabric, broadband, wan, lte, satellite; did you mean `fabric`?"),
    ),
    "unknown kind": (
        ("kind: plain", "kind: wiregaurd"),
        ("5: unknown kind of tunnel `wiregaurd`; a kind of tunnel: plain, vxlan, wireguard; "
        "did you mean `wireguard`?"),
    ),
    "no address": (("192.0.2.2", "192.0.2.256"), "13: `192.0.2.256` is not an address; "),
    "address with a mask": (
        ("192.0.2.2", "192.0.2.2/24"), "13: `192.0.2.2/24` is not an address; ",
    ),
    "nobody's address": (("192.0.2.2", "0.0.0.0"), "13: `0.0.0.0` is no host's address; "),
    "no port": (("192.0.2.2", "192.0.2.2:0"), "13: 0 is no port; "),
    "host bits": (
        ("10.2.0.0/16", "10.2.0.1/16"),
        "13: 10.2.0.1/16 has host bits set; a prefix such as 10.1.0.0/16; write `10.2.0.0/16`",
    ),
    "prefix at two places": (
        ("10.2.0.0/16", "10.1.0.0/16"),
        ("13: 10.1.0.0/16 is given for rome and for oslo; each prefix once; "
        "what several sites announce is one of `destinations`"),
    ),
    "gateway of another family": (
        ("eth1}", 'eth1, address: 10.0.0.7, gateway: "fe80::1"}'),
        "6: fe80::1 is no neighbour of 10.0.0.7; an IPv4 address, as ours is; ",
    ),
    "our own address": (
        ("eth0, kind", "eth0, address: 192.0.2.2, kind"),
        "13: this is our own address; where the peer is found over mpls; ",
    ),
    "one port for two": (
        ("{interface: eth1}", "{interface: eth0}"),
        ("6: mpls and lte both use eth0 port 51820; "
        "another interface or port for each transport; "),
    ),
    "LAN is an underlay": (
        ("interfaces: eth2", "interfaces: [eth1]"),
        ("7: eth1 is the interface of the transport lte; an interface of the site's own network; "
        "a VLAN of it can be: `{name: …, vlan: …}`"),
    ),
    "LAN twice": (
        ("interfaces: eth2", "interfaces: [eth2, eth2]"), "7: two interfaces are called `eth2`; ",
    ),
    "long interface": (
        ("interfaces: eth2", "interfaces: abcdefghijklmnop"),
        "7: `abcdefghijklmnop` cannot stand here; ",
    ),
    "psk for nobody": (
        (f"{{key: {KEYS[1]}", f"{{psk: a, key: {KEYS[1]}"),
        "13: none of its tunnels takes a key; ",
    ),
    "unknown site": (
        ("lan:", "destinations: {any: {sites: [hup], prefixes: 0.0.0.0/0}}\nlan:"),
        "7: there is no site `hup`; rome, hub, oslo; did you mean `hub`?",
    ),
    "destination like a site": (
        ("lan:", "destinations: {oslo: {sites: [hub], prefixes: 0.0.0.0/0}}\nlan:"),
        "7: `oslo` is the name of a site too; another name; every site is a destination already",
    ),
    "all may ask": (
        ("lan:", "metrics: {address: 192.0.2.7}\nlan:"),
        ("7: 192.0.2.7 can be asked by other machines; "
        "an address of this machine alone, such as 127.0.0.1; add `expose: on` if that is meant"),
    ),
    "on is no change": (
        ("lan:", "record: on\nlan:"),
        "7: this is on already; off; leave it out, or write what is to be changed",
    ),
    "files of nothing": (
        ("lan:", "record: {size: 10kB}\nlan:"),
        "7: files of this size hold next to nothing; 1MB or more; ",
    ),
    "proofs inside WireGuard": (
        ("eth1}", "eth1, proofs: 1s}"),
        "6: WireGuard authenticates its tunnels itself; no `proofs`, or another kind of tunnel; ",
    ),
    "proofs too often": (
        ("kind: plain}", "kind: plain, proofs: 50ms}"),
        "5: probes of user space are too irregular for that; 100ms or more; ",
    ),
    "probes of a process": (
        ("lan:", "dataplane: {probes: sender}\nlan:"),
        (
            "7: beside BPF no process can send probes, since the kernel alone numbers packets of "
            "tunnels; kernel; without BPF a process sends them, whatever this says"
        ),
    ),
    "all forbidden": (
        ("lan:", "classes: {a: {forbid: [mpls, lte]}}\nlan:"),
        "7: the class a may use no transport at all; ",
    ),
    "seed without port": (
        ("lan:", "seeds: 192.0.2.9\nlan:"),
        ("7: `192.0.2.9` has no port; an address with its port, such as 192.0.2.1:4500; "
        "write `192.0.2.9:PORT`"),
    ),
    "seed of six": (
        ("lan:", 'seeds: "2001:db8::9"\nlan:'),
        ("7: `2001:db8::9` has no port; an address with its port, such as 192.0.2.1:4500; "
        "write `[2001:db8::9]:PORT`"),
    ),
    "role": (("role: hub", "role: hubb"), "11: unknown role `hubb`; "),
    "missing": (("site: rome\n", ""), "1: `site` is missing; "),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told(name: str) -> None:
    """One mistake gives one message, at its line, in these words."""
    change, message = MISTAKES[name]
    found = told(changed(change))
    assert len(found) == 1, found
    assert found[0].startswith(message)


def test_all_mistakes_come_together() -> None:
    """What is wrong in several places is told in one go, in order of the lines."""
    found = told(changed(("kind: plain", "kind: plane"), ("192.0.2.2", "here"), ("eth2", "x" * 20)))
    assert [line.partition(":")[0] for line in found] == ["5", "7", "13"]


def test_families_must_agree() -> None:
    """No tunnel joins an address of IPv4 with one of IPv6."""
    own = ("eth0, kind", 'eth0, address: "2001:db8::7", kind')
    found = told(changed(own, ("192.0.2.2", "[2001:db8::2]:7".join('""'))))
    message = "12: an IPv4 address, but ours over mpls is 2001:db8::7; an IPv6 address; "
    assert found == [message]


def test_somebody_must_lead_to_a_peer() -> None:
    """A peer without a tunnel needs one in between that carries traffic."""
    bare = ("endpoints: {mpls: 192.0.2.2}, ", "")
    assert told(changed(bare)) == []
    message = "13: nothing leads to oslo; `endpoints`, or a peer in between with `role: hub`; "
    assert told(changed(bare, ("role: hub", "role: spoke"))) == [message]


# ------------------------------------------------------------ the identity key


def with_key(
    folder: Path, data: bytes, mode: int = 0o600, change: tuple[str, str] = ("", "")
) -> Path:
    """Write a configuration beside a key file."""
    (folder / "key").write_bytes(data)
    (folder / "key").chmod(mode)
    text = SMALL.replace("site: rome", "site: rome\nidentity: key").replace(*change)
    (folder / "agent.yml").write_text(text)
    return folder / "agent.yml"


def forms(key: Ed25519PrivateKey) -> tuple[bytes, bytes]:
    """Return the two forms in which a private key may stand in its file."""
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem, base64.b64encode(key.private_bytes_raw()) + b"\n"


@pytest.mark.parametrize("form", [0, 1])
def test_a_peer_with_our_own_key(tmp_path: Path, form: int) -> None:
    """A peer that is given our own key is a mistake at that key, whatever form the file has."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
    path = with_key(tmp_path, forms(key)[form], change=(KEYS[1], public))
    with pytest.raises(ConfigError) as caught:
        load(path)
    (mistake,) = caught.value.mistakes
    assert (mistake.line, mistake.what) == (14, "this is our own key, not that of oslo")
    assert load(with_key(tmp_path, forms(key)[form])).identity == str(tmp_path / "key")


@pytest.mark.parametrize(
    "data",
    [
        b"", b"no key", b"\xff" * 32, b"-----BEGIN PRIVATE KEY-----\nAAAA\n", b"A" * 9000,
        X25519PrivateKey.generate().private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ),
    ],
    ids=["empty", "words", "bytes", "torn", "long", "another kind"],
)  # fmt: skip
def test_a_file_that_is_no_key(tmp_path: Path, data: bytes) -> None:
    """What is no private Ed25519 key cannot be our identity."""
    with pytest.raises(ConfigError, match="is no private Ed25519 key"):
        load(with_key(tmp_path, data))


def test_a_key_that_others_can_read(tmp_path: Path) -> None:
    """A key that is no secret is refused, with the command that mends it."""
    key = forms(Ed25519PrivateKey.from_private_bytes(bytes(32)))[0]
    path = with_key(tmp_path, key, mode=0o640)
    with pytest.raises(ConfigError) as caught:
        load(path)
    (mistake,) = caught.value.mistakes
    assert mistake.what == f"{tmp_path / 'key'}: others may use it (mode 640)"
    assert mistake.suggestion == f"chmod 600 {tmp_path / 'key'}"
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o640


def test_a_folder_in_place_of_a_key(tmp_path: Path) -> None:
    """A key file that cannot be read is a mistake, and no crash."""
    path = with_key(tmp_path, b"")
    (tmp_path / "key").unlink()
    (tmp_path / "key").mkdir(mode=0o700)
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(path)

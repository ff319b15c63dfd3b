"""Probes between two namespaces, stamped, reflected and taken by the kernel alone."""

import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from patronus.dataplane.linux import probing, records
from patronus.dataplane.linux.records import Outcome
from patronus.dataplane.stamp.fields import ErrorEstimate, Stamp
from patronus.dataplane.stamp.packet import Probe, Reflection
from patronus.dataplane.stamp.tlv import Drain, Liveness, Tlv, Type, liveness_of
from patronus.engine.meters import Meters
from patronus.engine.policy import Policy
from patronus.engine.units import LONG_AGO, MS, NEVER
from tests.dataplane.linux.ends import PORT, End, Pair, pair, wait_for

Bools = npt.NDArray[np.bool_]
Stamps = npt.NDArray[np.int64]

pytestmark = pytest.mark.root

INTERVAL, DETECT = 10 * MS, 30 * MS
ETH_P_ALL = 3
LENGTHS = (154, 174)
"""Of frames with test packets, over IPv4 and IPv6."""
SLACK = 10 * MS
"""On top of the lateness that the pacers themselves have measured."""


@pytest.fixture(scope="module", params=[False, True], ids=["ipv4", "ipv6"])
def running(request: pytest.FixtureRequest, program_cache: Path) -> Iterator[Pair]:
    """Both ends probe each other."""
    with pair("st-run", program_cache, six=request.param, detect_ns=DETECT) as found:
        for end in (found.near, found.far):
            end.pace(INTERVAL)
        settle(found)
        yield found


@pytest.fixture(scope="module", params=[False, True], ids=["ipv4", "ipv6"])
def silent(request: pytest.FixtureRequest, program_cache: Path) -> Iterator[Pair]:
    """Nobody probes: packets are made by hand."""
    with pair("st-man", program_cache, six=request.param, detect_ns=3600 * 1000 * MS) as found:
        yield found


def settle(found: Pair) -> None:
    for end in (found.near, found.far):
        wait_for(partial(all_usable, end))


def usable(end: End) -> Bools:
    now_ns, tunnels = time.monotonic_ns(), end.tunnels
    fresh: Bools = now_ns - tunnels["confirmed_ns"] <= tunnels["detect_ns"]
    return fresh


def all_usable(end: End) -> bool:
    return bool(usable(end).all())


def moved(end: End, than: Stamps) -> bool:
    return bool((end.tunnels["confirmed_ns"] > than).all())


def counted(end: End, outcome: Outcome, times: int) -> bool:
    return end.outcome(outcome) == times


def some_returned(end: End) -> bool:
    return bool((end.probing["returned"] > 3).all())


def expiry_ns(end: End) -> int:
    """Return when the last row of an end went silent."""
    return int((end.tunnels["confirmed_ns"] + end.tunnels["detect_ns"]).max()) + 1


def lateness_ns(found: Pair) -> int:
    return max(int(end.memory["pacing"]["gap_ns_max"][0]) for end in (found.near, found.far))


# ---------------------------------------------------------------- both ends probe


def test_both_ends_are_confirmed_without_a_process(running: Pair) -> None:
    """Stamps of both ends move on, though nothing runs but the kernel; latches wait."""
    before = [end.tunnels["confirmed_ns"].copy() for end in (running.near, running.far)]
    for end, then in zip((running.near, running.far), before, strict=True):
        wait_for(partial(moved, end, then))
        assert (end.tunnels["heard_ns"] > LONG_AGO).all()
        assert (end.tunnels["since_ns"] < NEVER).all()
        assert end.tunnels["latched"].all(), "the engine alone lets traffic on"


def test_samples_reach_the_engine(running: Pair) -> None:
    """Round trips come out of mapped memory, in order, and no probe counts as lost."""
    near = running.near
    reader = probing.Samples(near.tunnels, near.memory["samples"])
    meters, seen = Meters(near.rows, Policy()), np.zeros(near.rows, dtype=np.int64)

    def take() -> bool:
        for columns in reader.drain():
            meters.observe(**columns._asdict())
            seen[columns.rows] += 1
            assert (columns.arrived_ns > columns.sent_ns).all()
        return bool((seen >= 20).all())

    wait_for(take)
    rows = np.arange(near.rows)
    assert reader.missed.tolist() == [0] * near.rows
    assert meters.health.late.tolist() == [0] * near.rows
    assert (meters.health.srtt_ns > 0).all()
    assert (meters.health.srtt_ns < 20 * MS).all()
    assert meters.health.loss_ppm(rows).tolist() == [0] * near.rows
    assert (meters.health.jitter_ns(rows) >= 0).all()


def test_counters_of_both_ends_agree(running: Pair) -> None:
    """What one end sent the other one heard, and says so in its next packet."""
    near, far = running.near, running.far
    heard = near.probing["sent"].astype(np.int64)
    rows = np.arange(near.rows)
    wait_for(lambda: bool((probing.told(near.tunnels, rows).out_probes_heard >= heard).all()))
    told = probing.told(near.tunnels, rows)
    # The peer's packet may have left between our numbering a probe and its coming.
    assert (told.out_probes_told - told.out_probes_heard <= 1).all()
    assert (far.probing["heard"] >= heard).all()
    assert not near.probing["refused"].any()
    assert not far.probing["refused"].any()


@pytest.mark.parametrize("cut", ["near", "far"])
def test_a_cut_one_way_is_seen_at_both_ends(running: Pair, cut: str) -> None:
    """Both proofs end within the detect time, one interval and a round trip of the cut."""
    settle(running)
    sender, hearer = (running.near, running.far) if cut == "near" else (running.far, running.near)
    for end in (sender, hearer):
        end.memory["pacing"]["gap_ns_max"] = 0
    sender.cut(on=True)
    try:
        cut_ns = time.monotonic_ns()
        wait_for(lambda: not usable(sender).any() and not usable(hearer).any())
        gone_ns = max(expiry_ns(sender), expiry_ns(hearer))
        assert gone_ns - cut_ns <= DETECT + INTERVAL + SLACK + lateness_ns(running)
        # The end that is not heard still hears: that alone keeps no path in use.
        now_ns = time.monotonic_ns()
        assert (now_ns - sender.tunnels["heard_ns"] <= DETECT + lateness_ns(running)).all()
        assert not usable(sender).any()
        assert sender.tunnels["latched"].all()
    finally:
        sender.cut(on=False)
    settle(running)


def test_probes_are_as_the_standard_says(running: Pair) -> None:
    """What the pacer sends is what our own parser and scapy take for a STAMP probe."""
    frame = capture(running.far, lambda data: overlay_of(data)["class"] == 0)
    ether = Ether(frame)
    ip = ether[IP] if IP in ether else ether[IPv6]
    assert (ip.ttl if IP in ether else ip.hlim) == 255
    if IP in ether:
        told = ip.chksum
        del ip.chksum
        assert IP(bytes(ip)).chksum == told
    assert ip[UDP].len == len(bytes(ip[UDP]))
    probe = Probe.parse(stamp_of(frame))
    liveness = liveness_of(probe.tlvs)
    row = int(overlay_of(frame)["tunnel"])
    assert probe.ssid == row + 1
    assert liveness.hears
    assert liveness.session == int(running.near.tunnels["session_out"][row])
    assert liveness.sequence == int(overlay_of(frame)["sequence"])
    assert 0 <= time.monotonic_ns() - probe.sent.time_ns < 20 * 1000 * MS


@pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
def test_devices_without_ethernet_carry_probes(program_cache: Path, six: bool) -> None:
    """Probes and reflections pass devices like those of WireGuard, whose frames are bare IP."""
    with pair("st-tun", program_cache, six=six, ether=False, detect_ns=1000 * MS) as found:
        for end in found.ends:
            end.pace(50 * MS)
        settle(found)
        for end in found.ends:
            wait_for(partial(some_returned, end))
            assert not end.probing["refused"].any()


# ---------------------------------------------------------------- packets made by hand


def test_the_h_bit_decides_at_once(silent: Pair) -> None:
    """H confirms, a newer packet without it disproves at once, an older one with it does not."""
    far = silent.far
    for sequence, hears, confirmed in [(5, True, True), (6, False, False), (4, True, False),
                                       (7, True, True), (8, False, False)]:  # fmt: skip
        reflected = far.outcome(Outcome.PROBE_REFLECTED)
        silent.near.run(partial(send, made(silent, sequence, hears=hears)))
        wait_for(partial(counted, far, Outcome.PROBE_REFLECTED, reflected + 1))
        assert usable(far)[1] == confirmed
        assert time.monotonic_ns() - int(far.tunnels["heard_ns"][1]) < 10_000 * MS


def test_our_own_reflection_is_proof_by_itself(silent: Pair) -> None:
    """It confirms even where it was overtaken, so that its H bit says nothing any more."""
    near, row = silent.near, 1
    near.probing["sent"][row] = 78
    near.tunnels["heard_ns"][row] = time.monotonic_ns()
    near.tunnels["sequence"][row] = 2**31 - 1
    before = near.outcome(Outcome.PROBE_RETURNED)
    data = made(silent, 9, hears=True, probe_sequence=77, ssid=row + 1)
    near.run(partial(send, data))
    wait_for(partial(counted, near, Outcome.PROBE_RETURNED, before + 1))
    assert usable(near)[row]
    assert int(near.tunnels["sequence"][row]) == 2**31 - 1
    sample = near.memory["samples"][row * probing.SAMPLES]
    assert (int(sample["sequence"]), int(sample["hops"])) == (77, 255 - 199)
    assert int(sample["sent_ns"]) == Probe.parse(stamp_of(data)).sent.time_ns
    near.probing["sent"][row] = near.probing["returned"][row] = 0


def test_reflections_are_as_the_standard_says(silent: Pair) -> None:
    """Each field of a reflection is the sender's, or the reflector's own."""
    near, far = silent.near, silent.far
    before = int(far.probing["heard"][1])
    data = made(silent, 100, hears=True, probe_sequence=77)
    frame = capture(near, lambda data: overlay_of(data)["class"] == 1, lambda: send(data))
    probe, back = Probe.parse(stamp_of(data)), Reflection.parse(stamp_of(frame))
    assert (back.sender_sequence, back.sender_sent, back.ssid) == (77, probe.sent, probe.ssid)
    assert (back.sender_error, back.error) == (probe.error, ErrorEstimate())
    assert (back.sequence, back.sender_ttl) == (before, 199)
    assert back.received.time_ns <= back.reflected.time_ns <= time.monotonic_ns()
    liveness = liveness_of(back.tlvs)
    assert (liveness.hears, liveness.probes_heard, liveness.heard_age_us) == (True, before + 1, 0)
    assert (liveness.probes_told, liveness.data_told) == (123, 456)
    assert liveness.session == int(far.tunnels["session_out"][1])
    assert len(frame) == len(data)
    assert Ether(frame).src == Ether(data).dst


def test_planned_moves_are_told_and_heard(silent: Pair) -> None:
    """A probe says that its sender drains, a reflection that we do; the newest one counts."""
    near, far = silent.near, silent.far
    far.tunnels["drained"][1], far.tunnels["drain_until_ns"][1] = 1, time.monotonic_ns()
    for sequence, drain in ((200, Drain.ASKED), (201, Drain.ASKED | Drain.OVERDUE)):
        data = made(silent, sequence, hears=True, drain=drain)
        frame = capture(near, lambda data: overlay_of(data)["class"] == 1, partial(send, data))
        told = liveness_of(Reflection.parse(stamp_of(frame)).tlvs)
        assert (told.hears, told.drain) == (True, Drain.ASKED | Drain.OVERDUE)
        assert probing.told(far.tunnels, np.array([1])).drains == [drain]
    far.tunnels["drained"][1] = far.tunnels["drain_until_ns"][1] = 0
    data = made(silent, 202, hears=True)
    frame = capture(near, lambda data: overlay_of(data)["class"] == 1, partial(send, data))
    assert not liveness_of(Reflection.parse(stamp_of(frame)).tlvs).drain
    assert not probing.told(far.tunnels, np.array([1])).drains


@pytest.mark.parametrize("what", ["short", "long", "version", "type", "error", "reflection"])
def test_hostile_bytes_prove_nothing(silent: Pair, what: str) -> None:
    """Broken packets of the right session are dropped and counted before a stamp moves."""
    data = bytearray(made(silent, 1000, hears=True))
    at = len(data) - 92
    if what == "short":
        del data[-1]
    elif what == "long":
        data += b"x"
    elif what == "reflection":  # of a probe that we never sent
        data[at - 20 + 2] = 1
    else:
        data[at + {"version": 49, "type": 45, "error": 13}[what]] ^= 0xFF
    far = silent.far
    before, refused = far.tunnels["heard_ns"][1], far.probing["refused"][1]
    silent.near.run(lambda: send(bytes(data)))
    wait_for(lambda: far.probing["refused"][1] == refused + 1)
    assert far.tunnels["heard_ns"][1] == before


def test_another_session_is_not_stamped(silent: Pair) -> None:
    """Who does not know the session identifier moves no stamp."""
    far, data = silent.far, bytearray(made(silent, 1001, hears=True))
    data[len(data) - 92 - 1] ^= 1
    before, bad = far.tunnels["heard_ns"][1], far.outcome(Outcome.DROP_BAD_SESSION)
    silent.near.run(lambda: send(bytes(data)))
    wait_for(lambda: far.outcome(Outcome.DROP_BAD_SESSION) == bad + 1)
    assert far.tunnels["heard_ns"][1] == before


# ---------------------------------------------------------------- tools


def made(
    found: Pair,
    sequence: int,
    *,
    hears: bool,
    probe_sequence: int = 0,
    ssid: int = 9,
    drain: int = 0,
) -> bytes:
    """Return a frame with a probe on row 1 from the near end to the far one."""
    tunnel = found.near.tunnels[1]
    overlay = records.zeros(records.OVERLAY)
    overlay["version_inner"] = records.OVERLAY_VERSION << 4 | records.Inner.STAMP
    overlay["flags"] = records.OVERLAY_HEARS * hears
    overlay["segments"], overlay["tunnel"], overlay["sequence"] = 1, 1, sequence
    session = int(tunnel["session_out"])
    overlay["session"] = (session >> 32, session & 0xFFFF_FFFF)
    liveness = Liveness(hears, sequence, session, 0, 123, 0, 0, 456, 0, 0, drain=Drain(drain))
    tlv = Tlv(Type.LIVENESS, liveness.pack()).pack()
    probe = Probe(probe_sequence, Stamp.of(time.monotonic_ns()), ssid=ssid, tlvs=tlv)
    ends = [bytes(tunnel[name]) for name in ("local", "remote")]
    six = bool(tunnel["flags"] & records.TunnelFlag.IPV6)
    family, octets = (socket.AF_INET6, 16) if six else (socket.AF_INET, 4)
    source, target = (socket.inet_ntop(family, end[:octets]) for end in ends)
    outer = {"src": source, "dst": target, "hlim" if six else "ttl": 199}
    ip = (IPv6 if six else IP)(**outer)  # type: ignore[arg-type]  # scapy's fields are its own
    ether = Ether(src=mac(found.near), dst=mac(found.far))
    return bytes(
        ether / ip / UDP(sport=PORT, dport=PORT, chksum=0) / (overlay.tobytes() + probe.pack())
    )


def mac(end: End) -> str:
    link = end.netlink.get_links(end.netlink.link_lookup(ifname="wan")[0])[0]
    return str(link.get_attr("IFLA_ADDRESS"))


def send(frame: bytes) -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("wan", 0))
        raw.send(frame)


def stamp_of(frame: bytes) -> bytes:
    return frame[-92:]


def overlay_of(frame: bytes) -> np.void:
    found: np.void = np.frombuffer(frame[-112:-92], dtype=records.OVERLAY)[0]
    return found


def capture(
    end: End, wanted: Callable[[bytes], bool], act: Callable[[], None] | None = None
) -> bytes:
    """Return the first frame that comes to an end and is wanted, after an act."""

    def listen() -> bytes:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as raw:
            raw.bind(("wan", ETH_P_ALL))
            raw.settimeout(10)
            if act is not None:
                act()
            while True:
                frame, source = raw.recvfrom(2048)
                ours = source[2] != socket.PACKET_OUTGOING and len(frame) in LENGTHS
                if ours and wanted(frame):
                    return frame

    return end.run(listen)

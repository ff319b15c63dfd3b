"""Authenticated probes beside tunnels that are not: who forges liveness there is found out.

Over plain and VXLAN tunnels the kernel's probes prove only that their sender knows a session
number, which everybody on the way can read. With ``proofs`` on a transport, STAMP in HMAC mode
(RFC 8762 section 4.4) goes beside them, to the transport's address of the peer, by a key that both
ends make of their identities. It is stamped and reflected in user space, so its round trips hold
the scheduler's waits, milliseconds on a busy machine: it never feeds the detector or the engine.
What it tells is for the operator: a tunnel that is alive while no proof has come for
``SILENT_INTERVALS`` intervals is a *trouble*. Its packets come from somebody else, or the peer has
no proofs configured, or something between drops them.
"""

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final

from patronus.control.agent import wanted
from patronus.control.agent.ground import Ground
from patronus.control.agent.meeting import Lane as MeetingLane
from patronus.control.agent.pairing import Pairing
from patronus.control.config.layout import Lane, Layout
from patronus.control.config.model import AgentConfig, Transport
from patronus.dataplane.stamp.peer import Peer
from patronus.dataplane.stamp.reflector import Reflector
from patronus.dataplane.stamp.session import Sample, Session
from patronus.dataplane.stamp.udp import Listener, Sender
from patronus.engine.forwarding import Bool
from patronus.engine.units import PPM

PORT: Final = 4_514
"""Behind those of members, meetings, and of tunnels without BPF."""
WINDOW: Final = 32
"""Probes over which loss is told."""
GAIN_SHIFT: Final = 3
SILENT_INTERVALS: Final = 10
HEARD_INTERVALS: Final = 4
"""Within so many the peer's H bit stays set."""


@dataclass(slots=True)
class Proof:
    """The session of one tunnel."""

    label: str
    interval_ns: int
    key: bytes = field(repr=False)
    began_ns: int
    peer: Peer
    reflector: Reflector
    ends: tuple[str, str] | None = None
    """Our address and the peer's, while a sender is at work."""
    session: Session | None = None
    sender: Sender | None = None
    proven_ns: int = 0
    """Arrival of the last proof, 0 before the first."""
    rtt_ns: int = -1
    came: deque[int] = field(default_factory=lambda: deque(maxlen=WINDOW))

    def take(self, sample: Sample) -> None:
        """Take a probe that came back, authenticated."""
        before = self.rtt_ns if self.rtt_ns >= 0 else sample.rtt_ns
        self.rtt_ns = before + ((sample.rtt_ns - before) >> GAIN_SHIFT)
        self.proven_ns = sample.arrived_ns
        self.came.append(sample.sequence)

    def loss_ppm(self) -> int | None:
        """Return the share of the last probes that did not come back, the newest one left out."""
        if self.session is None or self.session.sent < 2:
            return None
        last = self.session.sent - 1
        count = min(last, WINDOW)
        return (count - sum(last - count <= s < last for s in self.came)) * PPM // count

    def silent_ns(self, now_ns: int) -> int:
        """Return for how long there has been no proof."""
        return now_ns - (self.proven_ns or self.began_ns)


class Proofs:
    """The authenticated sessions of one site; needs a running event loop."""

    def __init__(
        self, config: AgentConfig, layout: Layout, pairings: dict[str, Pairing], ground: Ground
    ) -> None:
        """Send nothing yet."""
        self._config, self._ground = config, ground
        now_ns = time.monotonic_ns()
        self._proofs = {
            row: _proof(lane, label, pairings[lane.peer.name], lane.transport.proofs_ns, now_ns)
            for row, (lane, label) in enumerate(zip(layout.lanes, layout.labels, strict=True))
            if lane.transport.proofs_ns is not None
        }
        self._transport = {row: layout.lanes[row].transport for row in self._proofs}
        self._listeners: dict[tuple[str, int], tuple[str, Listener, dict[str, Reflector]]] = {}
        self.troubles: list[str] = []

    def ensure(self, lanes: Sequence[MeetingLane], silent: Bool, now_ns: int) -> None:
        """Probe from the addresses that there are to those that are known, and look who proves.

        Args:
            lanes: of the meeting, by row.
            silent: by row, whether the kernel takes the tunnel for silent.
            now_ns: the time.
        """
        self.troubles = []
        for row, proof in self._proofs.items():
            where = lanes[row].where
            self._ensure(row, proof, where.host if where else None)
            late = proof.silent_ns(now_ns) > SILENT_INTERVALS * proof.interval_ns
            if late and not silent[row]:
                self.troubles.append(
                    f"{proof.label} is alive, but not proven: forged packets, no `proofs` at the "
                    f"peer, or UDP port {PORT} is closed"
                )

    def _ensure(self, row: int, proof: Proof, remote: str | None) -> None:
        transport = self._transport[row]
        local = None
        if remote is not None:
            local = self._ground.local(transport, ip_address(remote).version)
        ends = (str(local), remote) if local and remote else None
        if ends is None or not self._listen(transport, ends, proof) or ends == proof.ends:
            return
        self._stop(proof)
        session = Session(
            proof.label, proof.interval_ns, ssid=_ssid(proof.key), session=proof.peer.session
        )
        sender = Sender(session, proof.peer, proof.key, lambda sample, _: proof.take(sample))
        try:
            sender.start(*ends, PORT, mark=wanted.mark(self._config, transport))
        except OSError as error:  # no address or no route yet; the next look tries again
            self.troubles.append(f"{proof.label}: proofs cannot be sent: {error.strerror}")
            return
        proof.ends, proof.session, proof.sender = ends, session, sender
        proof.came.clear()

    def _listen(self, transport: Transport, ends: tuple[str, str], proof: Proof) -> bool:
        """Answer a peer's probes; return whether that can be done."""
        local, remote = ends
        key = transport.name, ip_address(local).version
        held = self._listeners.get(key)
        if held is not None and held[0] != local:
            held[1].stop()
            held = None
        if held is None:
            known: dict[str, Reflector] = {}
            held = local, Listener(known), known
            try:
                held[1].start(local, PORT, mark=wanted.mark(self._config, transport))
            except OSError as error:
                self.troubles.append(f"{transport.name}: no proofs at {local}: {error.strerror}")
                return False
            self._listeners[key] = held
        held[2][remote] = proof.reflector
        return True

    def state(self, row: int, now_ns: int) -> dict[str, Any] | None:
        """Return what is known of a row's proofs, None where there are none."""
        proof = self._proofs.get(row)
        if proof is None:
            return None
        return {
            "silent_ns": now_ns - proof.proven_ns if proof.proven_ns else None,
            "rtt_ns": proof.rtt_ns if proof.rtt_ns >= 0 else None,
            "loss_ppm": proof.loss_ppm(),
        }

    @property
    def refused(self) -> dict[str, int]:
        """What came and proved nothing, by reason."""
        total: Counter[str] = Counter()
        for proof in self._proofs.values():
            for refused in (proof.reflector.refused, proof.sender.refused if proof.sender else {}):
                total.update({reason.value: count for reason, count in refused.items()})
            total["other_session"] += proof.reflector.other_session
        total["stranger"] = sum(held[1].strangers for held in self._listeners.values())
        return dict(total)

    def _stop(self, proof: Proof) -> None:
        if proof.sender is not None:
            proof.sender.stop()
        proof.sender = proof.ends = None

    def close(self) -> None:
        """Send and answer no more."""
        for proof in self._proofs.values():
            self._stop(proof)
        for _, listener, _ in self._listeners.values():
            listener.stop()
        self._listeners.clear()


def _proof(lane: Lane, label: str, pairing: Pairing, interval_ns: int | None, now_ns: int) -> Proof:
    assert interval_ns is not None
    key = pairing.key(f"stamp\0{lane.transport.name}")
    number = int.from_bytes(pairing.key(f"stamp session\0{lane.transport.name}")[:8]) or 1
    peer = Peer(number, HEARD_INTERVALS * interval_ns)
    return Proof(
        label=label, interval_ns=interval_ns, key=key, began_ns=now_ns, peer=peer,
        reflector=Reflector(key, _ssid(key), peer),
    )  # fmt: skip


def _ssid(key: bytes) -> int:
    """Return the session's identifier of RFC 8972, the same at both ends and never 0."""
    return int.from_bytes(key[:2]) % 0xFFFF + 1

"""Two sessions over a link in memory that delays, and can be cut, each way by itself."""

from collections.abc import Callable
from heapq import heappop, heappush

from patronus.dataplane.bfd.authentication import Authentication, Authenticator
from patronus.dataplane.bfd.intervals import Settings
from patronus.dataplane.bfd.machine import State
from patronus.dataplane.bfd.packet import Discard, Discarded, Packet, decode
from patronus.dataplane.bfd.session import Session, StateChanged
from patronus.engine.units import MS, NEVER, PPM, SECOND


def timers(tx_us: int, rx_us: int, mult: int = 3) -> Settings:
    return Settings(desired_min_tx_us=tx_us, required_min_rx_us=rx_us, detect_mult=mult)


class Draws:
    """A fixed run of draws, both ends of the range among them."""

    def __init__(self, seed: int = 0) -> None:
        self._last = seed

    def __call__(self) -> int:
        self._last = (self._last * 6364136223846793005 + 1442695040888963407) % 2**64
        return (0, PPM - 1, self._last % PPM, self._last % PPM)[self._last >> 62]


class End:
    """One session, and what became of it."""

    def __init__(self, session: Session, settings: Settings, starts_ns: int) -> None:
        self.session = session
        self.settings = settings
        self.starts_ns = starts_ns
        self.events: list[StateChanged] = []
        self.sent: list[tuple[int, Packet]] = []
        self.refused: list[Discard] = []
        self.deaf = False
        """What is sent to it is lost."""
        self.lossy = False
        """Of what is sent to it, packets are lost here and there, never two in a row."""
        self._lost_last = False

    def loses(self, draw_ppm: int) -> bool:
        self._lost_last = self.lossy and not self._lost_last and draw_ppm < PPM // 2
        return self.deaf or self._lost_last

    @property
    def states(self) -> list[State]:
        """Every state that the session went to, in order."""
        return [event.after for event in self.events]

    @property
    def deadline_ns(self) -> int:
        return max(self.session.next_deadline(), self.starts_ns)


class Link:
    """Two ends in virtual time; ``a`` is index 0."""

    def __init__(
        self,
        a: Settings,
        b: Settings,
        *,
        delay_ns: tuple[int, int] = (MS, MS),
        starts_ns: tuple[int, int] = (0, 0),
        seed: int = 0,
        auth: tuple[Authentication | None, Authentication | None] = (None, None),
        make: type[Session] = Session,
    ) -> None:
        self.now_ns = 0
        self.delay_ns = delay_ns
        self.draw = Draws(seed)
        self.ends = tuple(
            End(
                make(
                    discriminator=100 + place,
                    settings=settings,
                    authenticator=_authenticator(agreed, 2**32 - 2 - place),
                ),
                settings,
                starts_ns[place],
            )
            for place, (settings, agreed) in enumerate(zip((a, b), auth, strict=True))
        )
        self._flying: list[tuple[int, int, int, bytes]] = []
        self._number = 0

    @property
    def a(self) -> Session:
        return self.ends[0].session

    @property
    def b(self) -> Session:
        return self.ends[1].session

    @property
    def both_up(self) -> bool:
        return self.a.state is self.b.state is State.UP

    @property
    def packets(self) -> int:
        return sum(len(end.sent) for end in self.ends)

    def configure(self, place: int, settings: Settings) -> None:
        self.ends[place].settings = settings
        self.ends[place].session.configure(settings, self.now_ns, draw_ppm=self.draw())
        self._take(place)

    def disable(self, place: int) -> None:
        self.ends[place].session.disable(self.now_ns, draw_ppm=self.draw())
        self._take(place)

    def enable(self, place: int) -> None:
        self.ends[place].session.enable(self.now_ns, draw_ppm=self.draw())
        self._take(place)

    def step(self, until_ns: int = NEVER) -> bool:
        """Go to the next thing that happens, if it does by then; packets before timers."""
        deadlines = [end.deadline_ns for end in self.ends]
        arrival = self._flying[0][0] if self._flying else NEVER
        at_ns = max(min(*deadlines, arrival), self.now_ns)
        if at_ns > until_ns or at_ns == NEVER:
            self.now_ns = max(self.now_ns, min(until_ns, NEVER))
            return False
        self.now_ns = at_ns
        if arrival <= at_ns:
            self._arrive()
        else:
            self._advance(deadlines.index(min(deadlines)))
        return True

    def run(self, for_ns: int = NEVER, *, packets: int = 10_000) -> None:
        """Let time pass, or less when so many more packets have been sent."""
        until_ns, most = self.now_ns + for_ns, self.packets + packets
        while self.packets < most and self.step(until_ns):
            pass

    def run_until(self, reached: Callable[["Link"], bool], within_ns: int) -> None:
        """Let time pass until something is so; fail if it is not in time."""
        limit_ns = self.now_ns + within_ns
        while not reached(self):
            assert self.step(limit_ns), "not in time"

    def run_until_up(self, within_ns: int = 10 * SECOND) -> None:
        self.run_until(lambda link: link.both_up, within_ns)

    def run_until_settled(self, within_ns: int = 10 * SECOND) -> None:
        """Let time pass until both are Up and nobody has anything new to tell."""
        self.run_until(lambda link: link.both_up and link.settled, within_ns)

    @property
    def settled(self) -> bool:
        """Whether both send and expect what they were configured for and have told the peer."""
        return all(
            not end.session.polling
            and end.sent
            and end.sent[-1][1].desired_min_tx_us == end.settings.desired_min_tx_us
            and end.sent[-1][1].required_min_rx_us == end.settings.required_min_rx_us
            for end in self.ends
        )

    def _arrive(self) -> None:
        _, _, place, data = heappop(self._flying)
        end = self.ends[place]
        if self.now_ns < end.starts_ns or end.loses(self.draw()):
            return
        packet = decode(data)
        try:
            if packet.your_discriminator not in (0, end.session.discriminator):
                raise Discarded(Discard.NO_SESSION)
            end.session.receive(packet, self.now_ns, draw_ppm=self.draw())
        except Discarded as refused:
            end.refused.append(refused.reason)
        self._take(place)

    def _advance(self, place: int) -> None:
        self.ends[place].session.advance(self.now_ns, draw_ppm=self.draw())
        self._take(place)
        assert self.ends[place].deadline_ns > self.now_ns, "it would be called for ever"

    def _take(self, place: int) -> None:
        end = self.ends[place]
        packets, events = end.session.take()
        end.events += events
        for data in packets:
            end.sent.append((self.now_ns, decode(data)))
            self._number += 1
            arrives_ns = self.now_ns + self.delay_ns[place]
            heappush(self._flying, (arrives_ns, self._number, 1 - place, data))


def _authenticator(agreed: Authentication | None, first: int) -> Authenticator | None:
    return None if agreed is None else Authenticator(agreed, first)

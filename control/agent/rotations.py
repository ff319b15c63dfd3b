"""Replaces the WireGuard keys of a site's transports, each by its own rotation.

What is to happen next is decided by ``dataplane/tunnels/rotation.py``; here is when, and in which
order it is done. A key is on the disk before its device is made, the device takes packets before
the key is told, and everybody has left a device before it goes, its key last. So after a kill at
any step the folder of keys and the kernel's rows say where to go on:

    one key                      nothing is under way
    two, no tunnel on the new    begin again with the second device
    two, some tunnel on the new  go on moving; also where the old device is gone already

Whoever sends decides: a tunnel's ends tell each other which key to send to, and each changes what
it sends by for itself (``twins.py``). It says so before, and changes when that was heard: were it
stopped just then, its packets would still find both devices. A tunnel that is down holds nothing
up: its peer hears of the new key when it is back. One that is up and stays on the old key does,
and while all are down nothing happens at all; `pending` says so.

No sockets, no clock: what is done is done by a :class:`Bearer`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Final

from patronus.control.agent.bearing import Bearer, Lane, Word
from patronus.control.agent.keyring import Pair, slot
from patronus.control.agent.meeting import Keys
from patronus.control.agent.twins import There, decide, pair_of
from patronus.dataplane.linux.records import Twin
from patronus.dataplane.tunnels.keys import KeyTrouble
from patronus.dataplane.tunnels.rotation import (
    Action,
    Event,
    Phase,
    Rotation,
    Step,
    peers,
    step,
    tick,
)
from patronus.engine.units import MINUTE, MS, NEVER, SECOND

POLL_NS: Final = 100 * MS
"""Between two looks while a key of ours or of a peer is being replaced."""
DRAIN_NS: Final = 2 * SECOND
"""After everybody has left a device: longer than any path's delay."""
RETRY_NS: Final = 10 * MINUTE
"""After a rotation that was given up, before the schedule begins another one."""
LOOK_NS: Final = 60 * MINUTE
"""The longest between two looks at the age of keys: the wall clock may jump."""


class NotNow(Exception):
    """A rotation cannot begin; the message says why."""


@dataclass(slots=True)
class _Turn:
    """The rotations of one transport's key."""

    lanes: tuple[Lane, ...]
    state: Rotation
    results: Counter[str] = field(default_factory=Counter)
    not_before_ns: int = 0


class Rotations:
    """All keys of one site."""

    def __init__(
        self,
        bearer: Bearer,
        lanes: Sequence[Lane],
        *,
        every_ns: int | None = None,
        refusal: str = "",
    ) -> None:
        """Go on where the last agent was; nothing is done yet.

        Args:
            bearer: does everything.
            lanes: the tunnels over transports that have keys.
            every_ns: the age at which a key is replaced; None: when somebody asks.
            refusal: why no key can be replaced, "" if it can.
        """
        self._bearer, self._every_ns, self._refusal = bearer, every_ns, refusal
        self._turns: dict[str, _Turn] = {}
        for name in dict.fromkeys(lane.transport for lane in lanes):
            own = tuple(lane for lane in lanes if lane.transport == name)
            self._turns[name] = _Turn(own, self._found(name, own))
        self._lanes = {lane.row: lane for lane in lanes}
        self._started_ns: int | None = None

    def _found(self, transport: str, lanes: Sequence[Lane]) -> Rotation:
        """Return where a rotation of before is, as disk and kernel tell."""
        first, *second = self._bearer.pair(transport)
        if not second:
            return Rotation(first)
        twins = [self._bearer.twins(lane.row) for lane in lanes]
        moved = any(bool(t & Twin.OWN) == slot(second[0]) for t in twins)
        return Rotation(first, Phase.MOVING if moved else Phase.CREATING, moved=moved)

    # ------------------------------------------------------------ orders

    def start(self, transports: Sequence[str], now_ns: int) -> None:
        """Begin to replace the keys of some transports, of all if none are named.

        Raises:
            NotNow: one of them cannot begin; then none does.
            KeyTrouble: the new key cannot be kept.
        """
        named = tuple(transports) or tuple(self._turns)
        if self._refusal:
            raise NotNow(self._refusal)
        if not named:
            raise NotNow("no tunnel of this site is made of WireGuard")
        for name in named:
            if name not in self._turns:
                known = ", ".join(self._turns) or "none"
                raise NotNow(f"no transport {name} with WireGuard tunnels; there is {known}")
            if (turn := self._turns[name]).state.phase is not Phase.IDLE:
                raise NotNow(f"the key of {name} is being replaced already: {_shown(turn)}")
        for name in named:
            self._begin(name, now_ns)

    def _begin(self, name: str, now_ns: int) -> None:
        state = self._turns[name].state
        for other in self._bearer.pair(name):
            # One that could not be removed when it was time to, on a full or broken disk.
            if other != state.generation:
                self._bearer.forget_key(name, other)
        self._take(name, step(state, Event.START, now_ns), now_ns)

    def word(self, row: int) -> Word:
        """Return what the peer at the other end of a tunnel is to know."""
        state = self._turns[self._lanes[row].transport].state
        known = (state.generation,) if state.phase is Phase.CREATING else _kept(state)
        return Word(known, _target(state), 1 << _theirs(self._bearer.twins(row)))

    # ------------------------------------------------------------ time

    def wake(self, now_ns: int) -> int:
        """Do what is due; return when to be called again."""
        if self._started_ns is None:
            self._started_ns = now_ns
            for turn in self._turns.values():
                turn.state = replace(turn.state, since_ns=now_ns)
        if not self._refusal:
            self._schedule(now_ns)
        if not any(self._busy(turn) for turn in self._turns.values()):
            return self._next(now_ns)
        self._bearer.look()
        for name, turn in self._turns.items():
            if turn.state.phase is not Phase.IDLE:
                self._advance(name, turn, now_ns)
        self.decide()
        return now_ns + POLL_NS

    def _busy(self, turn: _Turn) -> bool:
        """Tell whether some tunnel may have to change what it sends by."""
        if turn.state.phase is not Phase.IDLE:
            return True
        told = ((lane.row, self._bearer.told(lane.row)) for lane in turn.lanes)
        return any(
            all(keys.there) or self._bearer.twins(row) != _wanted(turn.state, keys)
            for row, keys in told
            if keys is not None
        )

    def _schedule(self, now_ns: int) -> None:
        if self._every_ns is None:
            return
        for name, turn in self._turns.items():
            age_ns = self._bearer.age_ns(name, turn.state.generation)
            idle = turn.state.phase is Phase.IDLE and now_ns >= turn.not_before_ns
            if idle and age_ns >= self._every_ns:
                try:
                    self._begin(name, now_ns)
                except KeyTrouble as trouble:
                    turn.not_before_ns = now_ns + RETRY_NS
                    turn.state = replace(turn.state, reason=str(trouble))

    def _next(self, now_ns: int) -> int:
        if self._every_ns is None or self._refusal:
            return NEVER
        left = [
            max(self._every_ns - self._bearer.age_ns(name, turn.state.generation),
                turn.not_before_ns - now_ns)
            for name, turn in self._turns.items()
        ]  # fmt: skip
        return now_ns + min(max(min(left, default=LOOK_NS), POLL_NS), LOOK_NS)

    def _advance(self, name: str, turn: _Turn, now_ns: int) -> None:
        """Let a rotation go on as far as it does."""
        if turn.state.phase is Phase.CREATING:
            self._bear()
        phase = None
        while phase is not turn.state.phase and turn.state.phase is not Phase.IDLE:
            phase = turn.state.phase
            for result in self._news(name, turn, now_ns):
                self._take(name, result, now_ns)
        if self._waits(turn):
            # Nothing is lost by waiting, and by going on something may be.
            turn.state = replace(turn.state, since_ns=now_ns)
        self._take(name, tick(turn.state, now_ns), now_ns)

    def _news(self, name: str, turn: _Turn, now_ns: int) -> Iterator[Step]:
        """Yield what comes of what can be seen now."""
        bearer, phase = self._bearer, turn.state.phase
        if phase is Phase.CREATING and bearer.works(name, turn.state.generation + 1):
            yield step(turn.state, Event.CREATED, now_ns)
        elif phase in (Phase.ANNOUNCED, Phase.READY):
            up = [lane for lane in turn.lanes if bearer.up(lane.row)]
            new = frozenset(w.peer for w in up if self._reaches(w, turn.state.generation + 1))
            old = frozenset(w.peer for w in up)
            yield peers(turn.state, old_up=old, new_up=new, now_ns=now_ns)
            yield step(turn.state, Event.MOVE, now_ns)
        elif self._waits(turn):
            return
        elif phase in (Phase.MOVING, Phase.RETREATING) and not self._behind(turn):
            yield step(turn.state, Event.MOVED, now_ns)
        elif phase is Phase.DRAINING and now_ns - turn.state.since_ns >= DRAIN_NS:
            yield step(turn.state, Event.DRAINED, now_ns)

    def _reaches(self, lane: Lane, generation: int) -> bool:
        """Tell whether a tunnel would work with another key of ours."""
        there = _theirs(self._bearer.twins(lane.row))
        return self._bearer.proven(lane.row, pair_of(slot(generation), there))

    def _behind(self, turn: _Turn) -> frozenset[str]:
        """Return the peers whose tunnels are up and not yet where they are to be, at both ends."""
        wanted, behind = _target(turn.state), set()
        for lane in turn.lanes:
            told = self._bearer.told(lane.row)
            ours = bool(self._bearer.twins(lane.row) & Twin.OWN)
            theirs = told is not None and told.sends == 1 << wanted
            if self._bearer.up(lane.row) and (ours != wanted or not theirs):
                behind.add(lane.peer)
        return frozenset(behind)

    def _waits(self, turn: _Turn) -> bool:
        """Tell whether a deadline does not count: nobody is there, or somebody would be cut."""
        if turn.state.phase is Phase.CREATING:
            return False
        alone = not any(self._bearer.up(lane.row) for lane in turn.lanes)
        ends = turn.state.phase in (Phase.RETREATING, Phase.DRAINING)
        return alone or (ends and bool(self._behind(turn)))

    # ------------------------------------------------------------ what is done

    def _take(self, name: str, result: Step, now_ns: int) -> None:
        """Go on to the next state, once all that leads there is done."""
        turn, before = self._turns[name], self._turns[name].state
        after, actions = result
        if Action.CREATE_NEW in actions:
            # That is the order; its device is made at the next look, which may take a while.
            self._bearer.add_key(name, after.generation + 1)
        turn.state = after
        if not actions or after.phase is Phase.CREATING:
            return
        if Phase.IDLE is after.phase:
            done = after.generation != before.generation
            turn.results["done" if done else "given_up"] += 1
            turn.not_before_ns = now_ns + (0 if done else RETRY_NS)
            self._leave(turn)
        else:
            self._bear()
        self._say(turn)
        if Phase.IDLE is after.phase:
            self._forget(name, after.generation)

    def _leave(self, turn: _Turn) -> None:
        """Let go of a device: of whatever uses it first."""
        self.decide()
        self._say(turn)
        self._bear()

    def _forget(self, name: str, generation: int) -> None:
        """Remove every key but that of one generation."""
        for other in self._bearer.pair(name):
            if other != generation:
                # Where that cannot be done now it will be before the next rotation.
                with suppress(KeyTrouble):
                    self._bearer.forget_key(name, other)

    def _bear(self) -> None:
        self._bearer.bear({name: _kept(turn.state) for name, turn in self._turns.items()})

    def met(self, row: int) -> None:
        """Follow what the peer at the other end of a tunnel says of its keys."""
        if row in self._lanes:
            self._decide(self._lanes[row])

    def decide(self) -> None:
        """Let every tunnel send by what it shall, as far as that is proven to work."""
        changed = [self._decide(lane) for lane in self._lanes.values()]
        if any(changed):
            self._bear()

    def _decide(self, lane: Lane) -> bool:
        turn, told = self._turns[lane.transport], self._bearer.told(lane.row)
        if told is None:
            return False
        now = self._bearer.twins(lane.row)
        pair = decide(
            now, _wanted(turn.state, told), own=_there(_kept(turn.state)), peer=told.there,
            proven=lambda pair: self._bearer.proven(lane.row, pair),
        )  # fmt: skip
        if pair == now or not self._may_leave(lane, told, now, pair):
            return False
        self._bearer.send_by(lane.row, pair)
        self._bearer.say(lane.row, self.word(lane.row))
        return True

    def _may_leave(self, lane: Lane, told: Keys, now: Twin, pair: Twin) -> bool:
        """Tell whether the peer knows that we may be sending to its other device."""
        before, after = _theirs(now), _theirs(pair)
        if before == after or not told.there[before]:
            return True
        word = replace(self.word(lane.row), sends=1 << before | 1 << after)
        self._bearer.say(lane.row, word)
        return self._bearer.is_heard(lane.row)

    def _say(self, turn: _Turn) -> None:
        for lane in turn.lanes:
            self._bearer.say(lane.row, self.word(lane.row))

    # ------------------------------------------------------------ answers

    def answer(self, now_ns: int) -> list[dict[str, Any]]:
        """Return how each transport's key is."""
        return [self._answer(name, turn, now_ns) for name, turn in self._turns.items()]

    def _pending(self, turn: _Turn) -> frozenset[str]:
        """Return the peers for which a rotation waits."""
        if turn.state.phase is Phase.ANNOUNCED:
            everybody = frozenset(lane.peer for lane in turn.lanes)
            return turn.state.waiting_for or everybody
        moving = turn.state.phase in (Phase.MOVING, Phase.DRAINING, Phase.RETREATING)
        return self._behind(turn) if moving else frozenset()

    def _answer(self, name: str, turn: _Turn, now_ns: int) -> dict[str, Any]:
        state = turn.state
        age_ns = self._bearer.age_ns(name, state.generation)
        idle = state.phase is Phase.IDLE
        scheduled = self._every_ns is not None and not self._refusal
        due_ns = max((self._every_ns or 0) - age_ns, turn.not_before_ns - now_ns, 0)
        return {
            "transport": name,
            "generation": state.generation,
            "age_ns": age_ns,
            "next_generation": None if idle else state.generation + 1,
            "phase": str(state.phase),
            "pending": sorted(self._pending(turn)),
            "since_ns": None if idle else now_ns - state.since_ns,
            "reason": state.reason or None,
            "done": turn.results["done"],
            "given_up": turn.results["given_up"],
            "due_ns": due_ns if scheduled and idle else None,
        }


def _shown(turn: _Turn) -> str:
    return f"generation {turn.state.generation + 1} is {turn.state.phase}"


def _kept(state: Rotation) -> Pair:
    """Return the generations whose devices there shall be."""
    first = state.generation
    return (first,) if state.phase is Phase.IDLE else (first, first + 1)


def _target(state: Rotation) -> int:
    """Return in which place the key is that is to be used, by us and by the peers."""
    new = state.phase in (Phase.MOVING, Phase.DRAINING)
    return slot(state.generation + new)


def _theirs(pair: Twin) -> int:
    """Return in which place the peer's device of a pair is."""
    return int(bool(pair & Twin.PEER))


def _wanted(state: Rotation, told: Keys) -> Twin:
    return pair_of(_target(state), told.use)


def _there(kept: Pair) -> There:
    places = {slot(generation) for generation in kept}
    return 0 in places, 1 in places

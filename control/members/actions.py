"""What a roster asks its driver to do, and the timers that it keeps."""

from dataclasses import dataclass, field
from enum import Enum, auto

from patronus.control.members.address import Address
from patronus.control.members.standing import Standing
from patronus.control.members.timers import Timers
from patronus.engine.engine import Received


@dataclass(frozen=True, slots=True)
class Change:
    """A peer stands differently with us now."""

    name: str
    before: Standing
    after: Standing
    """The same as before: it has started anew."""


@dataclass(slots=True)
class Actions:
    """What has to be done, in order."""

    sends: list[tuple[Address, bytes]] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    """What :meth:`Engine.learn` takes."""
    changes: list[Change] = field(default_factory=list)


class Due(Enum):
    """What timers are for; the name beside it is that of a peer, or the number of a seed."""

    TRY = auto()
    SILENCE = auto()
    KEEPALIVE = auto()
    RESEND = auto()
    ACK = auto()
    SEED = auto()
    FAREWELL = auto()


Agenda = Timers[tuple[Due, str]]

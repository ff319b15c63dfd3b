"""Putting one site's membership together from what is configured and what is kept."""

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from patronus.control.members.book import Book
from patronus.control.members.certificate import Certificate
from patronus.control.members.counter import Counter
from patronus.control.members.identity import Identity, PublicKey, load_or_make
from patronus.control.members.reason import Refused
from patronus.control.members.roster import Roster
from patronus.control.members.secretfile import SecretError
from patronus.control.members.seeker import Places
from patronus.control.members.store import Memory, load, save
from patronus.control.members.timing import Jitter, Timing
from patronus.control.members.voice import Voice
from patronus.engine.overlay import I64
from patronus.engine.units import PPM

IDENTITY_FILE: Final = "identity.pem"
MEMORY_FILE: Final = "members.json"


@dataclass(frozen=True, slots=True)
class Settings:
    """What is configured, and checked already."""

    name: str
    folder: Path
    """Ours alone: the identity and the memory are kept there."""
    here: I64
    """This site's number in its engine, as an array of one."""
    identity: Path | None = None
    """File of the identity; None: the usual one in the folder."""
    pinned: Mapping[str, PublicKey] = field(default_factory=dict)
    operator: PublicKey | None = None
    """Whose certificates enrol sites; None: pinned ones alone take part."""
    certificate: Certificate | None = None
    """Of this site, to be shown to those who have not pinned its key."""
    places: Places = field(default_factory=Places)
    timing: Timing = field(default_factory=Timing)


class Membership:
    """One site's roster with what it keeps on the disk."""

    def __init__(self, settings: Settings, *, wall_ns: int, report: Callable[[str], object]):
        """Read what is kept, or make it.

        Args:
            settings: what is configured.
            wall_ns: nanoseconds since 1970.
            report: takes messages for the operator.

        Raises:
            SecretError: there is no identity, and none can be made or read.
            EnrolmentError: the configuration enrols sites in a way that cannot be meant.
            ValueError: our own certificate is of another site or key.
        """
        self.identity: Identity = load_or_make(settings.identity or settings.folder / IDENTITY_FILE)
        _check_own(settings, self.identity)
        self._path, self._report = settings.folder / MEMORY_FILE, report
        memory = load(self._path, report)
        self.counter = Counter(memory.ceiling, wall_ns)
        self._book = Book(
            settings.name,
            self.identity.public,
            pinned=settings.pinned,
            operator=settings.operator,
        )
        self._recall(memory)
        session = secrets.randbits(64) or 1
        voice = Voice(settings.name, self.identity, session=session, counter=self.counter)
        places = Places(settings.places.seeds, settings.places.configured, memory.addresses)
        self.roster = Roster(
            voice,
            self._book,
            places,
            here=settings.here,
            jitter=keyed_jitter(session),
            certificate=settings.certificate,
            timing=settings.timing,
        )

    def _recall(self, memory: Memory) -> None:
        for certificate in memory.certificates:
            try:
                self._book.recall(certificate)
            except Refused as refused:
                name, why = certificate.name, refused.reason
                self._report(f"the certificate of {name} that was kept does not hold now: {why}")

    def memory(self) -> Memory:
        """Return what should be kept now."""
        addresses = self.roster.remembered()
        return Memory(self.counter.raised(), addresses, tuple(self._book.certificates.values()))

    def write(self, memory: Memory) -> str | None:
        """Write what should be kept; return what is wrong. May be called from another thread."""
        try:
            save(self._path, memory)
        except SecretError as error:
            return f"{error}; going on, but the next start will know less"
        return None

    def written(self, memory: Memory, complaint: str | None) -> bool:
        """Take note of how the writing went; return whether it is on the disk."""
        if complaint is not None:
            self._report(complaint)
            return False
        self.counter.ceiling = memory.ceiling
        return True

    def keep(self) -> bool:
        """Write what should be kept now; return whether it is on the disk."""
        memory = self.memory()
        return self.written(memory, self.write(memory))


def keyed_jitter(key: int) -> Jitter:
    """Return jitter that differs from site to site and from start to start."""

    def jitter(name: str, number: int) -> int:
        digest = hashlib.sha256(f"{key} {number} {name}".encode()).digest()
        return int.from_bytes(digest[:8], "little") % PPM

    return jitter


def _check_own(settings: Settings, identity: Identity) -> None:
    known = settings.certificate
    if known is None:
        return
    if known.name != settings.name:
        raise ValueError(f"the certificate of this site is of {known.name}, not {settings.name}")
    if known.public != identity.public:
        raise ValueError(
            f"the certificate of {settings.name} is of another key than this site has "
            f"({identity.public.text}); ask the operator for a new one"
        )

"""Putting a membership together: what is kept makes the next start, whatever became of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from patronus.control.members.address import Address
from patronus.control.members.book import EnrolmentError
from patronus.control.members.identity import load_or_make
from patronus.control.members.membership import (
    IDENTITY_FILE,
    MEMORY_FILE,
    Membership,
    Settings,
    keyed_jitter,
)
from patronus.control.members.secretfile import SecretError
from patronus.control.members.store import Memory, load, save
from patronus.control.members.timing import Moment
from patronus.engine.units import PPM, SECOND
from tests.control.members.fleet import OPERATOR, WALL_NS, certificate, key


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        "berlin", tmp_path / "state", np.array([0]), pinned={"paris": key("paris")},
        operator=OPERATOR.public,
    )  # fmt: skip


def start(settings: Settings, wall_ns: int = WALL_NS) -> Membership:
    return Membership(settings, wall_ns=wall_ns, report=pytest.fail)


def test_the_next_start_counts_on_with_the_same_key(settings: Settings) -> None:
    """An hour back on the clock, the numbers still grow."""
    first = start(settings)
    assert first.keep()
    used = first.counter.next(WALL_NS + SECOND)
    second = start(settings, WALL_NS - 3600 * SECOND)
    assert second.identity.public == first.identity.public
    assert second.counter.next(WALL_NS - 3600 * SECOND) > used


def test_certificates_and_places_are_remembered(settings: Settings) -> None:
    """A site that starts while its seeds are away knows whom to ask, and where."""
    start(settings)
    rome = certificate("rome")
    where = Address("10.0.0.7", 5000)
    save(settings.folder / MEMORY_FILE, Memory(1, {"rome": where, "nobody": where}, (rome,)))
    again = start(settings)
    assert again.memory().certificates == (rome,)
    assert again.memory().addresses == {"rome": where}, "also if it is killed before rome answers"
    again.roster.start(Moment(0, WALL_NS))
    again.roster.wake(Moment(0, WALL_NS))
    assert {to for to, _ in again.roster.take().sends} == {where}


def test_what_the_operator_does_not_vouch_for_is_reported(settings: Settings) -> None:
    """A certificate that was kept and does not hold any more costs a message, not the start."""
    start(settings)
    rome = certificate("rome", by="x")
    save(settings.folder / MEMORY_FILE, Memory(1, {}, (rome,)))
    told: list[str] = []
    Membership(settings, wall_ns=WALL_NS, report=told.append)
    assert told == ["the certificate of rome that was kept does not hold now: certificate"]


def test_a_memory_that_cannot_be_kept_costs_a_message(settings: Settings) -> None:
    """Without a place to write to a site goes on, and says what that costs."""
    told: list[str] = []
    membership = Membership(settings, wall_ns=WALL_NS, report=told.append)
    (settings.folder / MEMORY_FILE).mkdir()
    assert not membership.keep()
    assert "going on, but the next start will know less" in told[0]
    assert membership.counter.overdue


def test_a_start_without_an_identity_is_refused(settings: Settings) -> None:
    """No site can take part that cannot keep its key."""
    settings.folder.parent.mkdir(exist_ok=True)
    settings.folder.write_text("")
    with pytest.raises(SecretError, match="cannot"):
        start(settings)


def test_a_peer_with_our_own_key_is_refused(settings: Settings) -> None:
    """A key that was copied from this site into another's place is named at the start."""
    own = load_or_make(settings.folder / IDENTITY_FILE).public
    with pytest.raises(EnrolmentError, match="paris is pinned with the key of this site, berlin"):
        start(replace(settings, pinned={"paris": own}))


@pytest.mark.parametrize(
    ("name", "says"), [("rome", "is of rome, not berlin"), ("berlin", "of another key")]
)
def test_a_certificate_of_somebody_else_is_refused(
    settings: Settings, name: str, says: str
) -> None:
    """Others would refuse all that we say, so it is better said here."""
    wrong = certificate(name, "other")
    with pytest.raises(ValueError, match=says):
        start(replace(settings, certificate=wrong))


def test_a_damaged_memory_is_set_aside(settings: Settings) -> None:
    """A corrupt file is reported and forgotten."""
    start(settings).keep()
    (settings.folder / MEMORY_FILE).write_bytes(b"\0\0")
    told: list[str] = []
    Membership(settings, wall_ns=WALL_NS, report=told.append).keep()
    assert "is damaged" in told[0]
    assert load(settings.folder / MEMORY_FILE, pytest.fail).ceiling > WALL_NS


def test_jitter_is_keyed() -> None:
    """It differs by site, name and number, lies below one whole, and is the same again."""
    one, other = keyed_jitter(1), keyed_jitter(2)
    drawn = [one("a", n) for n in range(200)]
    assert drawn == [one("a", n) for n in range(200)]
    assert all(0 <= share < PPM for share in drawn)
    assert len({*drawn, *(other("a", n) for n in range(200))}) > 390
    assert abs(sum(drawn) // 200 - PPM // 2) < PPM // 10

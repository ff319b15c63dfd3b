"""Enrolment: pinned keys, certificates, and who takes whose place."""

import pytest

from patronus.control.members import book as book_module
from patronus.control.members.book import GRACE_S, SITES_MAX, Book, EnrolmentError
from patronus.control.members.certificate import Certificate
from patronus.control.members.identity import PublicKey
from patronus.control.members.reason import Reason, Refused
from patronus.engine.units import SECOND
from tests.control.members.fleet import OPERATOR, certificate, key

UNTIL_S = 2**33
NOW_NS = (UNTIL_S - 1000) * SECOND


@pytest.fixture
def book() -> Book:
    return Book("me", key("me"), pinned={"pin": key("pin")}, operator=OPERATOR.public)


def reason_of(book: Book, shown: Certificate, now_ns: int = NOW_NS) -> Reason | None:
    try:
        book.admit(shown, now_ns)
    except Refused as refused:
        return refused.reason
    return None


def test_the_operator_enrols(book: Book) -> None:
    """A certificate of the operator makes a site one of ours, under the key that it names."""
    assert "new" not in book
    assert book.admit(certificate("new"), NOW_NS)
    assert book.key("new") == key("new")
    assert not book.admit(certificate("new"), NOW_NS), "it is known already"
    assert book.sites() == ["new", "pin"]
    assert len(book) == 2


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        (certificate("new", by="somebody"), Reason.CERTIFICATE),
        (certificate("pin", "thief"), Reason.WRONG_KEY),
        (certificate("me", "thief"), Reason.OWN_NAME),
        (certificate("new", "me"), Reason.OWN_KEY),
        (certificate("new", "pin"), Reason.KEY_TAKEN),
        (certificate("new", until_s=UNTIL_S - 1000 - GRACE_S - 1), Reason.EXPIRED),
    ],
)
def test_what_does_not_enrol_has_its_reason(book: Book, shown: Certificate, reason: Reason) -> None:
    """Nobody gets in without the operator, in another's place, with another's key or too late."""
    assert reason_of(book, shown) is reason
    assert book.sites() == ["pin"]


def test_a_pinned_site_may_show_a_certificate(book: Book) -> None:
    """A certificate that says what is pinned anyway changes nothing."""
    assert reason_of(book, certificate("pin")) is None
    assert not book.certificates


def test_without_an_operator_nobody_is_certificate() -> None:
    """Where no operator is configured the pinned sites are all."""
    assert reason_of(Book("me", key("me"), pinned={}), certificate("new")) is Reason.CERTIFICATE


def test_a_higher_serial_replaces_the_key(book: Book) -> None:
    """After a key was stolen the operator certifies another one, and the old one is out."""
    book.admit(certificate("new", "old key"), NOW_NS)
    assert book.admit(certificate("new", "new key", serial=2), NOW_NS)
    assert book.key("new") == key("new key")
    assert reason_of(book, certificate("new", "old key")) is Reason.CERTIFICATE_OLD
    assert reason_of(book, certificate("new", "old key", serial=2)) is Reason.CERTIFICATE_OLD
    assert book.key("new") == key("new key")
    assert book.admit(certificate("other", "old key"), NOW_NS), "that key is free again"


def test_a_longer_date_keeps_the_key(book: Book) -> None:
    """A renewed certificate is kept, and says that the key is the same."""
    book.admit(certificate("new"), NOW_NS)
    assert not book.admit(certificate("new", serial=2, until_s=UNTIL_S + 1000), NOW_NS)
    assert book.certificates["new"].serial == 2
    assert reason_of(book, certificate("new")) is None, "the site may still show the old one"
    assert book.certificates["new"].serial == 2


def test_an_end_is_an_end_after_a_grace(book: Book) -> None:
    """A clock an hour ahead throws nobody out; later the enrolment is over."""
    book.admit(certificate("new"), NOW_NS)
    book.check_date("new", (UNTIL_S + GRACE_S) * SECOND)
    with pytest.raises(Refused) as refused:
        book.check_date("new", (UNTIL_S + GRACE_S) * SECOND + 1)
    assert refused.value.reason is Reason.EXPIRED
    book.check_date("pin", 2**62)


def test_what_is_recalled_outranks_even_when_it_has_ended(book: Book) -> None:
    """The certificate that replaced a stolen key does so for ever, also over a restart."""
    ended = certificate("new", "new key", serial=2, until_s=1)
    book.recall(ended)
    assert reason_of(book, certificate("new", "old key")) is Reason.CERTIFICATE_OLD
    with pytest.raises(Refused):
        book.check_date("new", NOW_NS)


def test_what_the_operator_no_longer_vouches_for_is_not_recalled() -> None:
    """A changed operator key ends what the old one has signed."""
    other = Book("me", key("me"), pinned={}, operator=key("another operator"))
    with pytest.raises(Refused):
        other.recall(certificate("new"))
    assert not other.sites()


def test_there_is_room_for_so_many(monkeypatch: pytest.MonkeyPatch, book: Book) -> None:
    """The book is bounded, even if the operator signs without end."""
    assert SITES_MAX == 4096
    monkeypatch.setattr(book_module, "SITES_MAX", 3)
    assert reason_of(book, certificate("a")) is None
    assert reason_of(book, certificate("b")) is None
    assert reason_of(book, certificate("c")) is Reason.FULL
    assert reason_of(book, certificate("a", "new key", serial=2)) is None


@pytest.mark.parametrize(
    ("pinned", "says"),
    [
        ({"me": key("other")}, "me is this site, but another key is pinned"),
        ({"a": key("me")}, "a is pinned with the key of this site, me"),
        ({"a": key("k"), "b": key("k")}, "have the same key"),
    ],
)
def test_pins_that_exclude_each_other_are_explained(
    pinned: dict[str, PublicKey], says: str
) -> None:
    """A configuration that cannot be meant is refused at the start, by name."""
    with pytest.raises(EnrolmentError, match=says):
        Book("me", key("me"), pinned=pinned)


def test_our_own_pin_is_no_peer() -> None:
    """One list of pins can be given to all sites: each leaves itself out."""
    book = Book("me", key("me"), pinned={"me": key("me"), "a": key("a")})
    assert book.sites() == ["a"]

"""Delays that the user gives in place of a provider."""

import pytest

from patronus.sim.topology.delays import Delays, check_delays, covers, pair_delays

GIVEN: Delays = {
    ("a", "b", "mpls"): 1,
    ("a", "b", ""): 2,
    ("b", "a", "mpls"): 3,
    ("b", "a", ""): 4,
}


@pytest.mark.parametrize(
    ("without", "forth"), [(0, 1), (1, 2), (2, 3), (3, 4)], ids="exact any back any-back".split()
)
def test_the_nearest_entry_counts(without: int, forth: int) -> None:
    """First this direction, its transport before any; then the same of the other direction."""
    order = [("a", "b", "mpls"), ("a", "b", ""), ("b", "a", "mpls"), ("b", "a", "")]
    left = {key: GIVEN[key] for key in order[without:]}
    assert pair_delays(left, "mpls", [("a", "b")])[0].tolist() == [forth]


def test_one_entry_is_both_ways() -> None:
    """A pair given in one direction has that delay in the other too."""
    forth, back = pair_delays({("b", "a", ""): 5}, "lte", [("a", "b"), ("b", "a")])
    assert (forth.tolist(), back.tolist()) == ([5, 5], [5, 5])


def test_asymmetric_delays_are_kept() -> None:
    """Two entries of a pair are two delays, the first one's direction in front."""
    forth, back = pair_delays(GIVEN, "mpls", [("b", "a"), ("a", "b")])
    assert (forth.tolist(), back.tolist()) == ([3, 1], [1, 3])


def test_delays_cover_the_transports_they_name() -> None:
    """An entry without a transport covers all."""
    assert covers({("a", "b", "mpls"): 1}, "mpls")
    assert not covers({("a", "b", "mpls"): 1}, "lte")
    assert covers({("a", "b", ""): 1}, "lte")
    assert not covers({}, "mpls")


def test_missing_pairs_are_named() -> None:
    """The message names the pairs and the transport, and does not become a list."""
    with pytest.raises(
        ValueError, match=r"^delays: none for a–c over `mpls`; a transport needs one for every pair"
    ):
        pair_delays(GIVEN, "mpls", [("a", "b"), ("a", "c")])
    many = [("a", f"x{i}") for i in range(8)]
    with pytest.raises(ValueError, match="none for a–x0, a–x1, a–x2, a–x3, a–x4 and 3 more over"):
        pair_delays(GIVEN, "mpls", many)


@pytest.mark.parametrize(
    ("key", "delay", "message"),
    [
        (("a", "berlim", ""), 1, "delays: there is no site `berlim`; did you mean `berlin`"),
        (("x", "a", ""), 1, "there is no site `x`; known: a, berlin"),
        (("a", "berlin", "mlps"), 1, "there is no transport `mlps`; did you mean `mpls`"),
        (("a", "a", ""), 1, "`a` to itself"),
        (("a", "berlin", "mpls"), -1, "`a` to `berlin` is below 0"),
    ],
)
def test_a_wrong_entry_is_named(key: tuple[str, str, str], delay: int, message: str) -> None:
    """Unknown names come back with the nearest one."""
    with pytest.raises(ValueError, match=message):
        check_delays({("a", "berlin", ""): 0, key: delay}, ["a", "berlin"], ["mpls", "lte"])

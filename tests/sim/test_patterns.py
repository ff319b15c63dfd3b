"""Names and patterns find what they say, and finding nothing is an error with a suggestion."""

import pytest

from patronus.sim.patterns import NoMatchError, find, listed, site_sets
from patronus.sim.scenario import SiteSpec, TopologySpec
from tests.sim.handmade import SITES, make_network

SETS = {"hubs": (0, 1), "spokes": (2, 3, 4), "none": ()}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["berlin"], (2,)),
        (["rome", "berlin", "rome"], (2, 4)),
        (["hub*"], (0, 1)),
        (["*o*"], (3, 4)),
        (["hubs", "oslo"], (0, 1, 3)),
        (["spokes"], (2, 3, 4)),
        (["*"], (0, 1, 2, 3, 4)),
        (["all"], (0, 1, 2, 3, 4)),
        ([], ()),
    ],
)
def test_words_find_positions(words: list[str], found: tuple[int, ...]) -> None:
    """Names, patterns and sets give ascending positions, each once."""
    assert find(words, SITES, "site", SETS) == found


def test_a_name_comes_before_a_word() -> None:
    """A site really called like a word is that site."""
    assert find(["hubs"], ("a", "hubs"), "site", {"hubs": (0,)}) == (1,)
    assert find(["b[1]"], ("b1", "b[1]"), "site") == (1,)


@pytest.mark.parametrize("word", ["berlim", "Berlin", "x*", "none"])
def test_nothing_found_is_an_error(word: str) -> None:
    """Every word must find something, however many others do; the case of letters counts."""
    with pytest.raises(NoMatchError, match=f"site {word!r} matches nothing".replace("*", r"\*")):
        find(["berlin", word], SITES, "site", SETS)


def test_error_names_what_exists_and_suggests() -> None:
    """The message holds the word, what there is, and the closest name."""
    with pytest.raises(NoMatchError) as error:
        find(["berlim"], SITES, "site")
    assert str(error.value) == (
        "site 'berlim' matches nothing (there are hub1, hub2, berlin, oslo, rome); "
        "did you mean 'berlin'?"
    )
    with pytest.raises(NoMatchError, match="there are none"):
        find(["x"], (), "group")


def test_long_lists_are_cut() -> None:
    """A message never lists a thousand names."""
    assert listed(list("abcd"), 2) == "a, b and 2 more"
    assert listed(list("ab"), 2) == "a, b"


def test_hubs_are_marked_or_first() -> None:
    """Marked sites are the hubs; where none is marked, the first so many are."""
    overlay = make_network().overlay
    given = tuple(SiteSpec(name) for name in SITES)
    marked = TopologySpec(sites=(*given[:3], SiteSpec("oslo", hub=True), given[4]), hubs=2)
    assert site_sets(marked, overlay) == {"hubs": (3,), "spokes": (0, 1, 2, 4)}
    first = TopologySpec(sites=given, hubs=2)
    assert site_sets(first, overlay) == {"hubs": (0, 1), "spokes": (2, 3, 4)}
    none = TopologySpec(sites=given)
    assert site_sets(none, overlay) == {"hubs": (), "spokes": (0, 1, 2, 3, 4)}

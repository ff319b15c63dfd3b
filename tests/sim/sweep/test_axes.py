"""What is varied, as it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.sim.sweep.axes import SEED_LAST, VALUES_MOST, Axis, GridError, axis, checked, seeds


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("policy.hold=1s,2s,4s", "policy.hold", ("1s", "2s", "4s")),
        ("topology.sites=10..30/10", "topology.sites", ("10", "20", "30")),
        ("n=3..5,9", "n", ("3", "4", "5", "9")),
        ("n=-1..1", "n", ("-1", "0", "1")),
        ("c.v.prefer=[mpls, lte],[lte]", "c.v.prefer", ("[mpls, lte]", "[lte]")),
        ("about='a, b',\"c\"", "about", ("'a, b'", '"c"')),
        ("a=b=c", "a", ("b=c",)),
        ("a={x: [1, 2], y: 3},4", "a", ("{x: [1, 2], y: 3}", "4")),
    ],
)  # fmt: skip
def test_an_axis_is_read(text: str, key: str, values: tuple[str, ...]) -> None:
    """Commas separate values but inside brackets and quotes; ranges hold both ends."""
    assert axis(text) == Axis(key, values)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("policy.hold", "is not KEY=VALUE"),
        ("=1s", "is not KEY=VALUE"),
        ("policy.hold=", "`policy.hold` has no values"),
        ("policy.hold=1s,,2s", "nothing between two commas"),
        ("policy.hold=1s,1s", "1s is given twice"),
        ("n=5..1", "the range 5..1 is empty"),
        ("n=1..9/0", "the step of 1..9/0 is 0"),
        (f"n=0..{VALUES_MOST}", "at most 1,000,000"),
        ("seed=1..3", "give the seeds as seeds"),
        ("a b=1", "is no key of a scenario"),
    ],
)
def test_an_axis_that_cannot_be_meant(text: str, told: str) -> None:
    """Nothing to vary, a value twice, an empty range: each is refused by name."""
    with pytest.raises(GridError, match=told):
        axis(text)


def test_seeds_are_read() -> None:
    """Numbers and ranges, in the order given."""
    assert seeds("7") == (7,)
    assert seeds("9, 1..3,10..20/5") == (9, 1, 2, 3, 10, 15, 20)
    assert seeds(str(SEED_LAST)) == (SEED_LAST,)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no seed"),
        ("1..x", "no seed"),
        ("-1", "no seed"),
        ("20..1", "20..1 is empty"),
        ("1..3,2", "2 is given twice"),
        (str(SEED_LAST + 1), "lies between"),
    ],
)
def test_seeds_that_cannot_be_meant(text: str, told: str) -> None:
    """Words, empty ranges, a seed twice, and seeds out of range are refused."""
    with pytest.raises(GridError, match=told):
        seeds(text)


def test_no_seeds_at_all() -> None:
    """An empty range of Python is refused as one that is written."""
    with pytest.raises(GridError, match="there are no seeds"):
        checked(range(3, 3))


@given(st.lists(st.sampled_from(["1s", "a", "[b, c]", "{d: 1, e: [2, 3]}", "'f, g'"]), min_size=1,
                unique=True))  # fmt: skip
def test_what_is_joined_is_split(values: list[str]) -> None:
    """Values come back as they were put together, whatever brackets and commas they hold."""
    assert axis(f"key={','.join(values)}").values == tuple(values)

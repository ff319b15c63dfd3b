"""Numbers read as a person would say them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine.journal import Reason
from patronus.engine.units import MINUTE, MS, NEVER, SECOND, US
from patronus.sim.report import words
from patronus.sim.scenario import FaultKind


def plain(text: str) -> str:
    return text.replace("\u00a0", " ")


@pytest.mark.parametrize(
    ("ns", "said"),
    [
        (0, "0 ms"), (4 * US, "0 ms"), (450 * US, "0.45 ms"), (4_237 * US, "4.24 ms"),
        (31_240 * US, "31.2 ms"), (312 * MS, "312 ms"), (3_124 * MS, "3.12 s"),
        (31_240 * MS, "31.2 s"), (2 * MINUTE, "2 min"), (200 * SECOND, "3 min 20 s"),
        (NEVER, "never"), (-30 * MS, "-30 ms"),
    ],
)  # fmt: skip
def test_durations_read_as_a_person_would_say_them(ns: int, said: str) -> None:
    """A duration has about three digits and the unit that fits; never is a word."""
    assert plain(words.duration(ns)) == said


@given(st.integers(0, 119 * SECOND))
def test_a_duration_is_said_within_half_a_per_cent(ns: int) -> None:
    """What is printed is off by less than one in a hundred, or by 5 µs where it is tiny."""
    number, unit = words.duration(ns).split("\u00a0")
    value = float(number.replace(",", "")) * {"ms": MS, "s": SECOND}[unit]
    assert abs(value - ns) <= max(5_001, ns / 100)


def test_durations_stay_on_one_line() -> None:
    """A number and its unit are joined by a space that does not break."""
    assert "\u00a0" in words.duration(5 * MS)


@pytest.mark.parametrize(
    ("parts", "said"),
    [(0, "0 %"), (3, "0.0003 %"), (420, "0.042 %"), (30_420, "3.04 %"), (123_456, "12.3 %"),
     (1_000_000, "100 %")],
)  # fmt: skip
def test_shares_keep_the_digits_that_matter(parts: int, said: str) -> None:
    """Small losses are not rounded to nothing."""
    assert plain(words.ppm(parts)) == said


def test_nothing_of_nothing_is_missing() -> None:
    """A share of no packets is not zero but not measured."""
    assert words.share(0, 0) == words.MISSING
    assert plain(words.share(0, 5)) == "0 %"
    assert plain(words.share(1, 4)) == "25 %"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("loss_ppm", 30_000, "3 %"), ("loss_ppm", -1, "not measured"),
        ("owd_ns", 25 * MS, "25 ms"), ("clock_ns", -5 * SECOND, "-5 s"),
        ("rate_bps", 2_500_000, "2.5 Mbit/s"), ("rate_bps", 12, "12 bit/s"),
        ("largest_bytes", 1400, "1,400 bytes"), ("packets", 1234, "1,234"),
    ],
)  # fmt: skip
def test_quantities_follow_the_unit_in_their_name(name: str, value: int, said: str) -> None:
    """The unit that ends a quantity's name decides how its values read."""
    assert plain(words.quantity(name, value)) == said


def test_quantities_have_plain_names() -> None:
    """Abbreviations are spelt out, unknown names lose their unit."""
    assert words.quantity_name("owd_ns") == "one-way delay"
    assert words.quantity_name("loss_ppm") == "loss"
    assert words.quantity_name("announcements") == "announcements"


def test_every_kind_of_fault_has_words() -> None:
    """No kind of fault appears in the report under its technical name."""
    for kind in FaultKind:
        assert words.fault_kind(kind) != kind
        assert "-" not in words.fault_kind(kind).replace("Half-applied", "")
    assert words.fault_kind("solar-flare") == "Solar flare"


def test_every_reason_has_words() -> None:
    """No reason of a decision appears in the report under its technical name."""
    for name in Reason:
        assert words.reason(name)[0].isupper()
        assert "_" not in words.reason(name)
    assert words.reason("solar_flare") == "Solar flare"


def test_moments_name_the_end() -> None:
    """A fault that is not undone lasts until the end."""
    assert plain(words.moment(12_500 * MS)) == "12.5 s"
    assert words.moment(NEVER) == "the end"


@pytest.mark.parametrize(
    ("label", "said"),
    [("mpls>rome", "mpls"), ("mpls>oslo>rome", "mpls via oslo"), ("lte>oslo", "lte to oslo"),
     ("", "no path"), ("odd", "odd")],
)  # fmt: skip
def test_paths_are_said_in_words(label: str, said: str) -> None:
    """A path names its transport and its detour; its end only where it is another site."""
    assert words.path(label, "rome") == said


def test_one_is_singular() -> None:
    """Counted things agree with their number."""
    assert words.counted(1, "site") == "1 site"
    assert words.counted(1000, "site") == "1,000 sites"
    assert words.counted(2, "class", "classes") == "2 classes"

"""Values, units and trees against plain readings of the same text."""

import json
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from patronus.engine.mos import CODECS as ENGINE_CODECS
from patronus.sim.language import quantities
from patronus.sim.language.mistakes import Mistake, Source
from patronus.sim.language.policy import CODECS, DSCP
from patronus.sim.language.shapes import BROKEN, Reading
from patronus.sim.language.tree import Kind, ListNode, MapNode, Node, Scalar, lines_of
from patronus.sim.language.tree import parse as parse_tree
from patronus.sim.language.values import Value
from tests.mutants.harness import caught, mutant
from tests.oracles.quantity import base_units

SORTS = {
    "duration": ("DURATION", ("ns", "us", "ms", "s", "m", "h"), quantities.YEAR),
    "share": ("SHARE", ("ppm", "%"), 10**6),
    "rate": ("RATE", ("bps", "kbps", "Mbps", "Gbps"), 10**15),
    "size": ("SIZE", ("B",), 65_535),
}
"""The shape's name in the module, its units, its largest value."""

NUMBERS = st.one_of(
    st.integers(0, 10**18 - 1).map(str),
    st.decimals(0, 10**7, allow_nan=False, places=4).map(lambda d: f"{d:f}"),
    st.sampled_from(["0", "0.0", "1", "65535", "65536", "100", "100.0001", "8760", "0.0001"]),
)


def read(shape: Value, text: str) -> Any:
    """Return what a shape makes of a plain scalar: a value or ``BROKEN`` and one mistake."""
    reading = Reading()
    mark = parse_tree("x", Source("x"), [])
    assert mark is not None
    value = shape.read(Scalar(text, mark.mark), reading)
    assert len(reading.found) == (value is BROKEN)
    return value


@st.composite
def quantity_texts(draw: st.DrawFn) -> tuple[str, str, str]:
    """Draw a sort of quantity, digits and a unit of that sort."""
    sort = draw(st.sampled_from(sorted(SORTS)))
    return sort, draw(NUMBERS), draw(st.sampled_from(SORTS[sort][1]))


def reads_exactly(module: ModuleType, example: tuple[str, str, str]) -> None:
    """Assert that a text is read as the oracle's whole base units, or refused."""
    sort, digits, unit = example
    name, _, most = SORTS[sort]
    exact = base_units(digits, unit)
    least = 1 if sort in ("rate", "size") else 0
    fits = exact == int(exact) and least <= exact <= most
    assert read(getattr(module, name), digits + unit) == (int(exact) if fits else BROKEN)


@given(quantity_texts())
def test_a_quantity_is_read_exactly_or_refused(example: tuple[str, str, str]) -> None:
    """Whole base units within the limits are the oracle's; anything else is a mistake."""
    reads_exactly(quantities, example)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("if value.denominator != 1:", "if False:"),
        ("if abs(value) > self.most:", "if abs(value) >= self.most:"),
        ("if self.positive and not value:", "if self.positive and value < 0:"),
        ('"us": US', '"us": MS'),
        ("Fraction(sign + digits)", "Fraction(float(sign + digits))"),
    ],
)
def test_the_property_notices_a_broken_reader(old: str, new: str) -> None:
    """Each mutant of the reader of quantities is caught."""
    broken = mutant(quantities, old, new)
    assert caught(quantity_texts(), lambda example: reads_exactly(broken, example))


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize(
    "text",
    ["", "ms", "1", "1.5", "-1ms", "+1ms", "1 ms", "nan", "nanms", ".inf", "infs", "1e3ms", "1,5ms",
     "1ms ", "0x1ms", "1_000ms", "٣ms", "1mss", "1MS", "--1ms", "1.ms", ".5ms", "9" * 400 + "ms"],
)  # fmt: skip
def test_what_is_no_quantity_is_refused(sort: str, text: str) -> None:
    """Signs, missing units, other digits, exponents, NaN and infinity are mistakes."""
    assert read(getattr(quantities, SORTS[sort][0]), text) is BROKEN


def test_a_jump_may_go_back() -> None:
    """Only a clock jump has a sign."""
    assert read(quantities.JUMP, "-2s") == -2 * 10**9
    assert read(quantities.JUMP, "+50ms") == 50 * 10**6


@given(st.integers(0, quantities.YEAR))
def test_a_shown_duration_reads_back(value: int) -> None:
    """Messages show durations that mean exactly the same when written."""
    assert read(quantities.DURATION, quantities.shown(value)) == value


LETTERS = st.characters(categories=["L", "M", "N", "P", "S", "Zs"], include_characters="\n\t")
WORDS = st.one_of(
    st.text(LETTERS, max_size=12), st.integers(-(10**6), 10**6), st.booleans(), st.none(),
    st.sampled_from(["NO", "yes", "on", "~", "null", "1e3", "0x1f", "0o17", "010", "1:30", ".5"]),
)  # fmt: skip
TREES = st.recursive(
    WORDS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abcXYZ é", min_size=1, max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


def data_of(node: Node | None) -> Any:
    """Return a tree as plain data, by the kinds of its scalars."""
    if isinstance(node, MapNode):
        return {key: data_of(entry.node) for key, entry in node.entries.items()}
    if isinstance(node, ListNode):
        return [data_of(item) for item in node.items]
    if node is None or node.kind is Kind.EMPTY:
        return None
    if node.kind is Kind.SWITCH:
        return node.text.lower() == "true"
    if node.kind is Kind.INTEGER:
        return int(node.text, 0 if node.text[:2] in ("0x", "0o") else 10)
    return float(node.text.replace(".inf", "inf")) if node.kind is Kind.NUMBER else node.text


@given(TREES)
def test_a_tree_holds_what_was_written(data: Any) -> None:
    """JSON, which is YAML, comes back as the data it was written from."""
    found: list[Mistake] = []
    text = json.dumps(data, ensure_ascii=False)
    tree = parse_tree(text, Source("x", lines_of(text)), found)
    assert found == []
    assert data_of(tree) == data


@given(st.lists(st.sampled_from(
    ["NO", "yes", "~", "null", "1e3", "0x1f", "0o17", "010", "1:30", ".5", "-3", "+4", "True",
     "2001-01-01", ".inf", "1_000", "a b", "10.1.0.0/16", "3%", "''", '"1"'])))  # fmt: skip
def test_plain_words_mean_what_yaml_1_2_says(words: list[str]) -> None:
    """A block list of plain words is read as by a YAML 1.2 loader, dates left as text."""
    text = "".join(f"- {word}\n" for word in words) or "[]"
    ours = data_of(parse_tree(text, Source("x", lines_of(text)), []))
    theirs = YAML(typ="safe", pure=True).load(text)
    plain = [str(item) if hasattr(item, "isoformat") else item for item in theirs]
    # The loader reads 1_000 as a number, which YAML 1.2.2 section 10.3.2 does not.
    assert ours == [
        "1_000" if word == "1_000" else item for word, item in zip(words, plain, strict=True)
    ]


def test_places_are_those_of_an_editor() -> None:
    """Lines and columns count from 1, in characters, whatever breaks the lines."""
    text = "a: é b\r\nc:\r\n  - 'd'\n  - {e: f}\n"
    tree = parse_tree(text, Source("x", lines_of(text)), [])
    assert isinstance(tree, MapNode)
    items = tree.get("c")
    assert isinstance(items, ListNode)
    places = [(node.mark.line, node.mark.column) for node in items.items]
    assert (tree.entries["c"].key.line, places) == (2, [(3, 5), (4, 5)])


def test_code_points_are_those_of_the_standards() -> None:
    """EF is 46 (RFC 3246), AF41 is 34 (RFC 2597), CS6 is 48 (RFC 2474), LE is 1 (RFC 8622)."""
    assert [DSCP[name] for name in ("ef", "af41", "af13", "cs6", "va", "le", "be")] == [
        46, 34, 14, 48, 44, 1, 0,
    ]  # fmt: skip
    assert len(set(DSCP.values())) == len(DSCP) - 1  # be is cs0


def test_the_codecs_are_the_engines() -> None:
    """The language knows each codec of the E-model by its name."""
    assert set(CODECS) == {codec.name for codec in ENGINE_CODECS}

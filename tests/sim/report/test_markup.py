"""Whatever a name holds, a browser reads it as that name."""

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from patronus.sim.report.markup import breakable, join, percent, short, tag


class Reader(HTMLParser):
    """What a browser would see: the text, and the attributes of the first element."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.tags = "", list[str]()
        self.attributes: dict[str, str | None] = {}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes = self.attributes or dict(attrs)
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


PRINTABLE = st.text(st.characters(exclude_categories=("Cs", "Cc")))


@given(PRINTABLE, PRINTABLE)
def test_whatever_a_name_holds_it_is_read_as_that_name(text: str, value: str) -> None:
    """Any text comes out of a browser as it went in, as content and as attribute."""
    seen = Reader(tag("p", text, title=value))
    assert seen.text == text
    assert seen.attributes == {"title": value}
    assert seen.tags == ["p"]


@given(st.lists(PRINTABLE))
def test_lists_are_escaped_one_by_one(texts: list[str]) -> None:
    """Text inside lists and generators is escaped like any other."""
    seen = Reader(tag("p", texts, (t for t in texts)))
    assert seen.tags == ["p"]
    assert seen.text == "".join(texts) * 2


def test_markup_passes_unchanged() -> None:
    """What tag has built is not escaped again."""
    assert tag("p", tag("b", "a < b"), "&") == "<p><b>a &lt; b</b>&amp;</p>"
    assert join(tag("b"), None, 3, "<") == "<b></b>3&lt;"


def test_attributes_are_named_as_html_names_them() -> None:
    """Trailing underscores go, inner ones become hyphens, None leaves an attribute out."""
    made = tag("td", class_="x", data_label="L", scope=None)
    assert made == '<td class="x" data-label="L"></td>'
    assert tag("meta", charset="utf-8") == '<meta charset="utf-8">'


def test_long_names_break_after_colons() -> None:
    """A name may go on in a new line after a colon, and reads and copies as it is."""
    made = breakable("access:<b>:mpls")
    assert made == "access:<wbr>&lt;b&gt;:<wbr>mpls"
    assert breakable("plain") == "plain"


def test_numbers_are_short() -> None:
    """A figure of thousands of marks is kept small by short numbers."""
    assert [short(v) for v in (1.0, 0.126, -0.001, 12, "x")] == ["1", "0.13", "0", "12", "x"]
    assert percent(0.12345) == "12.35%"

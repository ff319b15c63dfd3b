"""What a browser and its reader would see of a page."""

import re
from html.parser import HTMLParser

OPEN_ENDED = frozenset({"meta", "br", "hr", "link", "wbr", "!doctype"})


class Page(HTMLParser):
    """A parsed page; building it fails on elements that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self._open: list[str] = []
        self._words: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == [], "elements are left open"

    @property
    def text(self) -> str:
        """Everything there is to read, with single spaces."""
        return re.sub(r"\s+", " ", " ".join(self._words).replace("\u00a0", " "))

    def of(self, name: str) -> list[str]:
        """Return the values of an attribute, in order."""
        return [value or "" for key, value in self.attributes if key == name]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in OPEN_ENDED:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, "elements are closed in the wrong order"

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self._words.append(data)

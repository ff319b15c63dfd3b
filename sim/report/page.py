"""The frame of a page: head, banner, contents, sections, foot."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from patronus.sim.report.markup import Child, Markup, join, tag

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Even text that slipped past the escaping could load or run nothing."""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page."""

    anchor: str
    short: str
    """Its name among the contents."""
    title: str
    lead: str
    """One or two sentences that say what is to be seen."""
    body: Markup


def document(
    *, title: str, banner: Child, sections: Sequence[Section], more_style: str = ""
) -> str:
    """Return the whole page; ``more_style`` is laid over the style of all reports."""
    contents = [tag("a", s.short, href=f"#{s.anchor}") for s in sections]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", f"{title} – Patronus report"),
        tag("style", Markup(_style() + more_style)),
    )
    body = tag(
        "body",
        tag("header", tag("div", banner, class_="inside"), class_="banner"),
        tag("nav", tag("div", contents, class_="inside"), aria_label="Contents"),
        tag("main", [_section(s) for s in sections], class_="inside"),
        tag(
            "footer",
            tag("p", "Made by Patronus. This page is one file and loads nothing."),
            class_="inside",
        ),
    )
    return join(Markup("<!DOCTYPE html>\n"), tag("html", head, body, lang="en")) + "\n"


def _section(section: Section) -> Markup:
    return tag(
        "section",
        tag("h2", section.title),
        tag("p", section.lead, class_="lead") if section.lead else None,
        section.body,
        id=section.anchor,
    )


@cache
def _style() -> str:
    return Path(__file__).with_name("style.css").read_text(encoding="utf-8")

"""What to say when a scenario names something that does not exist."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

SHOWN: Final = 12
"""Names that a message lists when none is near."""


def unknown(where: str, kind: str, name: str, known: Iterable[str]) -> ValueError:
    """Return the error for a name that is not known: with the nearest one, else with some."""
    folded = {word.casefold(): word for word in known}
    near = get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    if near:
        hint = f"did you mean `{folded[near[0]]}`?"
    else:
        words = list(folded.values())
        more = ", …" if len(words) > SHOWN else ""
        hint = f"known: {', '.join(words[:SHOWN])}{more}"
    return ValueError(f"{where}: there is no {kind} `{name}`; {hint}")

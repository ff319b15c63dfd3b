"""The table of standings, beside what is meant in words."""

from itertools import product

import pytest

from patronus.control.members.standing import ASKED, TABLE, Input, Standing


def meant(before: str, given: str) -> str | None:
    """Return what should become of a peer, None for what does not happen."""
    if given == "rekeyed":
        return "unknown"
    if given == "proof":
        return "live"
    if given == "try":
        return {"unknown": "joining", "joining": "joining", "stale": "stale"}.get(before)
    # Silence and a farewell are of those who are here.
    return {"silence": "stale", "leave": "left"}[given] if before == "live" else None


@pytest.mark.parametrize(("before", "given"), [*product(Standing, Input)])
def test_every_standing_with_every_input(before: Standing, given: Input) -> None:
    """The table says what is meant, for each pair, and nothing beside."""
    after = TABLE.get((before, given))
    assert (after and after.value) == meant(before.value, given.name.lower())
    assert (before in ASKED) == ((before, Input.TRY) in TABLE)

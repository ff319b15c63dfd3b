"""What the fuzzer has found in engine and checkers stays mended."""

from pathlib import Path

import pytest

from patronus.sim.fuzzing.trial import judge
from patronus.sim.language import load

FOUND = sorted((Path(__file__).parent / "found").glob("*.patronus.yml"))


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_what_was_found_is_not_found_again(path: Path) -> None:
    """Each file once broke an invariant; its comment says what was wrong."""
    assert not judge(load(path))

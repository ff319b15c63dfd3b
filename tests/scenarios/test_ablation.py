"""Each shipped scenario needs some feature of the engine, and the page says which."""

import pytest

from patronus.sim import api
from tests.scenarios import ablation
from tests.scenarios.catalogue import FEATURES, NAMES, failing, without
from tests.short import short

LINES = ablation.committed()


def test_every_scenario_and_every_feature_has_a_line() -> None:
    """No scenario passes without every feature, and no feature is useless to all of them."""
    assert {line.scenario for line in LINES} == set(NAMES)
    assert {line.feature for line in LINES} == set(FEATURES)


def test_the_page_is_laid_out_as_it_is_generated() -> None:
    """The lists of the page hold all scenarios, their lessons and nothing else."""
    assert ablation.page(LINES) == ablation.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", short(NAMES, 3))
def test_a_scenario_fails_without_a_feature(name: str) -> None:
    """The first line of a scenario is true: without that feature this expectation fails first."""
    line = next(line for line in LINES if line.scenario == name)
    assert failing(api.run(without(name, line.feature)))[:1] == [line.expectation]


@pytest.mark.slow
def test_the_whole_table_is_current() -> None:
    """Every line of the page is what running it gives, and none is missing."""
    assert sorted(ablation.measured()) == LINES

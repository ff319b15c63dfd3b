"""``--set`` changes what exists and refuses what does not."""

import pytest

from patronus.sim.language import ScenarioError, parse
from patronus.sim.language.settings import NAME

TEXT = """\
version: 1
topology: {sites: 4, hubs: 1}
transports: [mpls, lte]
classes:
  voice: {match: {dscp: ef}, sla: {latency: 150ms}}
faults:
  - {name: cut, kind: blackhole, at: 30s, on: {site: spoke1}}
  - {kind: site-crash, at: 40s, on: {site: hub1}}
"""


def test_settings_reach_every_kind_of_place() -> None:
    """Keys, keys not in the file, list positions, names of items and of listed words."""
    scenario = parse(
        TEXT, "x",
        ["duration=90s", "faults.0.at=31s", "faults.cut.for=5s", "topology.sites=6",
         "classes.voice.sla.loss=1%", "transports.lte.cost=7", "policy.damping.hold=4s",
         "faults.1.on={site: spoke5}", "expect=[loops == 0]", "classes.voice.match.ports=53"],
    )  # fmt: skip
    cut, crash = scenario.faults
    assert scenario.duration_ns == 90 * 10**9
    assert (cut.schedule.at_ns, cut.schedule.for_ns) == (31 * 10**9, 5 * 10**9)
    assert crash.select.sites == ("spoke5",)
    assert scenario.topology.count == 6
    assert scenario.policy.classes[0].sla.loss_ppm == 10_000
    assert scenario.policy.classes[0].matches[0].ports == ((53, 53),)
    assert scenario.policy.cost == {"lte": 7}
    assert [transport.name for transport in scenario.transports] == ["mpls", "lte"]
    assert scenario.policy.damping.hold_ns == 4 * 10**9
    assert [e.text for e in scenario.expectations] == ["loops == 0"]


def test_later_settings_win() -> None:
    """Settings are applied in order."""
    assert parse(TEXT, "x", ["seed=2", "seed=3"]).seed == 3


def test_a_new_name_can_be_set_whole() -> None:
    """The last key of a path may be a new name among the user's own."""
    scenario = parse(TEXT, "x", ["groups.conduit=['access:spoke1:lte']", "transports.net=lte"])
    assert [group.name for group in scenario.groups] == ["conduit"]
    assert [transport.name for transport in scenario.transports] == ["mpls", "lte", "net"]


@pytest.mark.parametrize(
    ("setting", "column", "what", "suggestion"),
    [
        ("seed", 1, "`seed` is not a setting", "for instance `faults.0.at=31s`"),
        ("=3", 1, "`=3` is not a setting", "for instance `faults.0.at=31s`"),
        ("sead=3", 1, "there is no `sead` to set", "did you mean `seed`?"),
        ("topology.site=3", 1, "there is no `site` to set", "did you mean `sites`?"),
        ("faults.2.at=3s", 1, "no `2` in this list of 2", ""),
        ("faults.cat.at=3s", 1, "no `cat` in this list of 2", "did you mean `cut`?"),
        ("classes.vioce.sla.loss=1%", 1, "there is no `vioce` to set", "did you mean `voice`?"),
        ("topology.sites.0=a", 1, "nothing lies beneath `4` (a whole number), so no `0`", ""),
        ("seed.x=1", 1, "nothing lies beneath `1` (a whole number), so no `x`", ""),
        ("seed=x", 6, "`x` (text) cannot stand here", ""),
        ("seed=", 6, "no value is given", ""),
        ("seed=[1", 8, "not YAML: expected ',' or ']', but got '<stream end>'",
         "a bracket or brace is not closed"),
        ("faults.0.at=70s", 13, "the fault begins at 70s, but the run ends at 1m",
         "make `duration` longer, or `at` earlier"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_a_mistake(
    setting: str, column: int, what: str, suggestion: str
) -> None:
    """A setting that cannot be applied names itself, its number and its column."""
    with pytest.raises(ScenarioError) as caught:
        parse(TEXT + "seed: 1\n", "x", ["warmup=6s", setting])
    (mistake,) = caught.value.mistakes
    assert (mistake.file, mistake.line, mistake.column) == (NAME, 2, column)
    assert (mistake.what, mistake.suggestion, mistake.text) == (what, suggestion, setting)


def test_wrong_settings_and_wrong_files_are_told_together() -> None:
    """A setting's mistake does not hide those of the file."""
    with pytest.raises(ScenarioError) as caught:
        parse(TEXT + "sead: 1\n", "x", ["topolgy.sites=3"])
    assert {mistake.file for mistake in caught.value.mistakes} == {NAME, "x"}

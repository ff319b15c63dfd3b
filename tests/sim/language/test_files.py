"""Files that cannot be read, and mistakes in the files that a scenario names."""

from pathlib import Path

import pytest

from patronus.sim.language import Mistake, ScenarioError, load, tree

GOOD = "version: 1\ntopology: {sites: 3}\ntransports: [mpls]\n"


def write(folder: Path, **texts: str) -> str:
    """Write files (``__`` stands for a dot) and return the path of ``x.patronus.yml``."""
    for name, text in texts.items():
        (folder / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return str(folder / "x.patronus.yml")


def only(path: str | Path, settings: tuple[str, ...] = ()) -> Mistake:
    """Return the single mistake of a file."""
    with pytest.raises(ScenarioError) as caught:
        load(path, settings)
    (mistake,) = caught.value.mistakes
    return mistake


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "the file is empty"),
        (b" \n\n", "the file is empty"),
        (b"\x7fELF\x02\0\0\0", "this is a binary file, not text"),
        (GOOD.encode("utf-16"), "this is a binary file, not text"),
        (b"version: 1\nname: caf\xe9\n", "line 2 is not UTF-8 (byte 20)"),
        (b"# " + b"x" * (1 << 20), "larger than 1 MiB"),
    ],
)
def test_a_file_that_is_no_scenario_gets_one_message(
    tmp_path: Path, data: bytes, what: str
) -> None:
    """Empty, binary, wrongly encoded and huge files are refused before they are parsed."""
    path = tmp_path / "x.patronus.yml"
    path.write_bytes(data)
    mistake = only(path)
    assert (mistake.file, mistake.line, mistake.what) == (str(path), 0, what)


def test_a_missing_file_is_named_with_its_neighbour(tmp_path: Path) -> None:
    """A misspelt file name suggests the file beside it."""
    write(tmp_path, x__patronus__yml=GOOD)
    mistake = only(tmp_path / "y.patronus.yml")
    assert mistake.what == "no such file"
    assert mistake.suggestion == "did you mean `x.patronus.yml`?"


def test_a_file_in_no_folder_is_missing(tmp_path: Path) -> None:
    """Without a folder there is no neighbour to suggest."""
    mistake = only(tmp_path / "nowhere" / "x.yml")
    assert (mistake.what, mistake.suggestion) == ("no such file", "")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    """A directory is no file."""
    assert only(tmp_path).what == "this is a directory"


def test_an_impossible_name_is_refused() -> None:
    """A name that no file can have is a mistake, not a crash."""
    assert only("x\0y").what.startswith("cannot be read")


def test_an_endless_device_is_refused() -> None:
    """No more than the limit is read of a file that never ends."""
    assert only("/dev/zero").what == "larger than 1 MiB"


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    """A file that begins with a UTF-8 byte order mark is read."""
    path = tmp_path / "marked.patronus.yml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load(path).name == "marked"


def test_mistakes_in_a_base_name_the_base(tmp_path: Path) -> None:
    """What the extended file says wrongly is reported there."""
    base = GOOD + "duration: 10\n"
    path = write(tmp_path, x__patronus__yml="version: 1\nextends: base.yml\n", base__yml=base)
    mistake = only(path)
    assert (mistake.file, mistake.line) == (str(tmp_path / "base.yml"), 4)


def test_the_upper_file_can_repair_the_base(tmp_path: Path) -> None:
    """A value that is replaced is not read."""
    base = GOOD + "duration: 10\n"
    upper = "version: 1\nextends: base.yml\nduration: 10s\n"
    assert load(write(tmp_path, x__patronus__yml=upper, base__yml=base)).duration_ns == 10**10


def test_mappings_merge_and_lists_replace(tmp_path: Path) -> None:
    """``extends`` lays mappings over mappings, replaces lists, and appends where asked."""
    base = (
        "version: 1\ntopology: {sites: 4, hubs: 1}\ntransports: [mpls, lte]\n"
        "expect: [loops == 0]\nfaults:\n"
        "  - {kind: blackhole, at: 1s, on: {site: hub1}}\n"
    )
    upper = (
        "version: 1\nextends: base.yml\ntopology: {sites: 6}\ntransports: {lte: {cost: 9}}\n"
        "expect: [black_holes == 0]\nfaults+:\n"
        "  - {kind: link-down, at: 2s, on: {site: spoke5}}\n"
    )
    scenario = load(write(tmp_path, x__patronus__yml=upper, base__yml=base))
    assert (scenario.topology.count, scenario.topology.hubs) == (6, 1)
    assert [transport.name for transport in scenario.transports] == ["mpls", "lte"]
    assert scenario.policy.cost == {"lte": 9}
    assert [e.text for e in scenario.expectations] == ["black_holes == 0"]
    assert [fault.name for fault in scenario.faults] == ["blackhole-1", "link-down-1"]


def test_a_missing_base_is_reported_where_it_is_named(tmp_path: Path) -> None:
    """The file that names another one holds the mistake."""
    path = write(tmp_path, x__patronus__yml=GOOD + "extends: bass.yml\n", base__yml=GOOD)
    mistake = only(path)
    assert (mistake.file, mistake.line, mistake.column) == (path, 4, 10)
    assert mistake.what == f"{tmp_path / 'bass.yml'}: no such file"
    assert mistake.suggestion == "did you mean `base.yml`?"


@pytest.mark.parametrize("value", ["[a.yml]", "3", "{a: b}", ""])
def test_extends_must_name_a_file(tmp_path: Path, value: str) -> None:
    """``extends`` takes one file name."""
    mistake = only(write(tmp_path, x__patronus__yml=GOOD + f"extends: {value}\n"))
    assert (mistake.line, mistake.what) == (4, "`extends` names no file")


def test_a_ring_of_files_is_refused(tmp_path: Path) -> None:
    """Files that extend one another in a ring are named in order."""
    a, b = "version: 1\nextends: b.yml\n", "version: 1\nextends: x.patronus.yml\n"
    with pytest.raises(ScenarioError) as caught:
        load(write(tmp_path, x__patronus__yml=a, b__yml=b))
    first = caught.value.mistakes[0]
    assert first.file == str(tmp_path / "b.yml")
    assert "x.patronus.yml → " in first.what


def test_a_file_cannot_extend_itself_by_another_name(tmp_path: Path) -> None:
    """A ring through a linked folder ends too."""
    (tmp_path / "again").symlink_to(tmp_path)
    text = "version: 1\nextends: again/x.patronus.yml\n"
    with pytest.raises(ScenarioError, match="extend one another"):
        load(write(tmp_path, x__patronus__yml=text))


def test_a_policy_file_is_shared(tmp_path: Path) -> None:
    """A policy file holds classes too; the scenario's classes are laid over them."""
    policy = "evaluation: 2s\nclasses: {voice: {match: {dscp: ef}, sla: {loss: 1%}}, rest: {}}\n"
    text = GOOD + "policy: p.policy.yml\nclasses: {voice: {sla: {latency: 9ms}}}\n"
    scenario = load(write(tmp_path, x__patronus__yml=text, p__policy__yml=policy))
    voice, rest = scenario.policy.classes
    assert (voice.sla.loss_ppm, voice.sla.latency_ns) == (10_000, 9_000_000)
    assert (rest.name, scenario.policy.evaluation_ns) == ("rest", 2 * 10**9)


def test_a_mistake_in_a_policy_file_names_it(tmp_path: Path) -> None:
    """Transports that a shared policy mentions must exist in the scenario."""
    policy = "classes:\n  voice: {prefer: [lte]}\n"
    text = GOOD + "policy: p.policy.yml\n"
    mistake = only(write(tmp_path, x__patronus__yml=text, p__policy__yml=policy))
    assert (mistake.file, mistake.line) == (str(tmp_path / "p.policy.yml"), 2)
    assert mistake.what == "there is no transport `lte`"


def test_a_policy_file_can_be_changed_in_place(tmp_path: Path) -> None:
    """``policy: {extends: FILE, …}`` uses a shared policy with changes."""
    text = GOOD + "policy: {extends: p.policy.yml, stale: 9s}\n"
    policy = "evaluation: 2s\nstale: 4s\n"
    scenario = load(write(tmp_path, x__patronus__yml=text, p__policy__yml=policy))
    assert scenario.policy.evaluation_ns == 2 * 10**9
    assert scenario.policy.stale_ns == 9 * 10**9


def test_half_a_configuration_changes_the_shared_one(tmp_path: Path) -> None:
    """A half-applied configuration is the scenario's policy with the fault's changes."""
    text = (
        "version: 1\ntopology: {sites: 3}\ntransports: [mpls, lte]\n"
        "classes: {voice: {prefer: mpls, sla: {loss: 1%}}}\n"
        "faults:\n  - kind: half-applied-config\n    at: 3s\n    on: {site: site1}\n"
        "    policy: half.yml\n"
    )
    half = "classes: {voice: {prefer: lte}}\n"
    (fault,) = load(write(tmp_path, x__patronus__yml=text, half__yml=half)).faults
    assert fault.policy is not None
    (voice,) = fault.policy.classes
    assert (voice.sla.prefer, voice.sla.loss_ppm) == (("lte",), 10_000)


TABLES = "version: 1\ntopology: {mesh: full-mesh, sites: sites.csv, delays: rtt.csv}\n"
TABLES += "transports: [mpls, lte]\n"
SITES = "name,lat,lon,hub,region,transports\n"


@pytest.mark.parametrize(
    ("sites", "line", "column", "what"),
    [
        ("nmae,lat,lon\na,1,2\n", 1, 1, "unknown column `nmae`"),
        ("name,lat,lat,lon\na,1,1,2\nb,1,1,2\n", 1, 10, "column `lat` is given twice"),
        (SITES + "a,91,3\nb,1,2\n", 2, 3, "latitude 91 is beyond the poles"),
        (SITES + "a,x,3\nb,1,2\n", 2, 3, "`x` (text) cannot stand here"),
        (SITES + "a,nan,3\nb,1,2\n", 2, 3, "`nan` (text) cannot stand here"),
        (SITES + "a,1,\nb,1,2\n", 2, 3, "only half a position"),
        (SITES + "a,1,2,maybe\nb,1,2\n", 2, 7, "`maybe` is neither on nor off"),
        (SITES + "a b,1,2\nb,1,2\n", 2, 1, "`a b` cannot stand here"),
        (SITES + "a,1,2\na,1,2\n", 3, 1, "two sites are called `a`"),
        (SITES + "a,1,2,,,mpls|satellite\nb,1,2\n", 2, 9, "there is no transport `satellite`"),
        (SITES + "a,1,2,,,,7\nb,1,2\n", 2, 10, "7 cells in this line"),
        (SITES + '"a, the first",1,2\nb,1,2\n', 2, 1, "`a, the first` cannot stand here"),
        (SITES + "a,1,2\n,3,4\n", 3, 1, "`name` is missing"),
        (SITES + "a,1,2\n", 1, 1, "a list of 1 item"),
        ("# nothing\n", 1, 1, "a list of 0 items"),
    ],
)
def test_a_mistake_in_a_table_of_sites_has_a_place(
    tmp_path: Path, sites: str, line: int, column: int, what: str
) -> None:
    """Tables are checked like the rest: file, line, column, what was expected."""
    with pytest.raises(ScenarioError) as caught:
        load(write(tmp_path, x__patronus__yml=TABLES, sites__csv=sites, rtt__csv="from,to,ms\n"))
    mistake = caught.value.mistakes[0]
    assert (mistake.file, mistake.line, mistake.column, mistake.what) == (
        str(tmp_path / "sites.csv"), line, column, what,
    )  # fmt: skip
    assert mistake.expected


@pytest.mark.parametrize(
    ("delays", "line", "column", "what"),
    [
        ("from,to,mss\na,b,3\n", 1, 9, "unknown column `mss`"),
        ("from,ms\na,3\n", 1, 1, "there is no column `to`"),
        ("from,to,ms\na,b,fast\n", 2, 5, "`fast` is not a number of milliseconds"),
        ("from,to,ms\na,b,-3\n", 2, 5, "`-3ms` has a sign"),
        ("from,to,ms\na,b,inf\n", 2, 5, "`inf` is not a number of milliseconds"),
        ("from,to,ms\na,b,1.2.3\n", 2, 5, "`1.2.3ms` is not a number with a unit"),
        ("from,to,delay\na,b,3\n", 2, 5, "`3` has no unit"),
        ("from;to;delay\na;b;3\n", 2, 5, "`3` has no unit"),
        ("from,to,ms\na,c,3\n", 2, 3, "there is no site `c`"),
        ("from,to,transport,ms\na,b,mlps,3\n", 2, 5, "there is no transport `mlps`"),
        ("from,to,ms\na,b,3\n\nb,a,3\na,b,4\n", 5, 1, "the delay from a to b is given twice"),
        ("from,to,ms\na,b,\n", 2, 1, "`delay` is missing"),
    ],
)
def test_a_mistake_in_a_table_of_delays_has_a_place(
    tmp_path: Path, delays: str, line: int, column: int, what: str
) -> None:
    """Delays are checked like the rest: file, line, column, what was expected."""
    with pytest.raises(ScenarioError) as caught:
        load(write(tmp_path, x__patronus__yml=TABLES, sites__csv="name\na\nb\n", rtt__csv=delays))
    mistake = caught.value.mistakes[0]
    assert (mistake.file, mistake.line, mistake.column, mistake.what) == (
        str(tmp_path / "rtt.csv"), line, column, what,
    )  # fmt: skip
    assert mistake.expected


def test_a_table_that_is_missing_is_reported_once(tmp_path: Path) -> None:
    """A table that cannot be read is one mistake, where it is named."""
    mistake = only(write(tmp_path, x__patronus__yml=TABLES, rtt__csv="from,to,ms\n"))
    assert (mistake.line, mistake.column) == (2, 36)
    assert mistake.what == f"{tmp_path / 'sites.csv'}: no such file"


def test_a_missing_table_of_a_base_is_reported_once(tmp_path: Path) -> None:
    """Neither the upper file nor a setting makes the reader look for it again elsewhere."""
    upper = "version: 1\nextends: low/base.yml\n"
    (tmp_path / "low").mkdir()
    (tmp_path / "low" / "base.yml").write_text(TABLES.replace(", delays: rtt.csv", ""))
    mistake = only(write(tmp_path, x__patronus__yml=upper), ("seed=3",))
    assert mistake.file == str(tmp_path / "low" / "base.yml")
    assert mistake.what == f"{tmp_path / 'low' / 'sites.csv'}: no such file"


def test_a_setting_can_name_files(tmp_path: Path) -> None:
    """``--set`` takes a table, a policy or a base; mistakes in them name them."""
    path = write(
        tmp_path, x__patronus__yml=GOOD, sites__csv="name\na\nb\n", p__yml="stale: 9s\n",
        base__yml="version: 1\nduration: 20s\nseed: x\n",
    )  # fmt: skip
    here = tmp_path
    settings = (f"topology.sites={here}/sites.csv", f"policy={here}/p.yml")
    scenario = load(path, settings)
    assert [site.name for site in scenario.topology.sites] == ["a", "b"]
    assert scenario.policy.stale_ns == 9 * 10**9
    mistake = only(path, (f"extends={here}/base.yml",))
    assert (mistake.file, mistake.line) == (str(here / "base.yml"), 3)
    assert load(path, (f"extends={here}/base.yml", "seed=4")).duration_ns == 20 * 10**9
    assert only(path, ("policy=nowhere.yml",)).file == "--set"


def test_a_deep_file_is_refused(tmp_path: Path) -> None:
    """Nesting is bounded, so that no file can exhaust the stack."""
    with pytest.raises(ScenarioError, match="nested more than 24 levels deep"):
        load(write(tmp_path, x__patronus__yml="a: " + "[" * 100_000 + "\n"))


def test_a_bomb_of_aliases_is_refused(tmp_path: Path) -> None:
    """Nothing is expanded: the first anchor ends the reading."""
    lines = ["a: &a [x, x]"] + [
        f"{c}: &{c} [*{b}, *{b}]" for b, c in zip("abcdef", "bcdefg", strict=True)
    ]
    mistake = only(write(tmp_path, x__patronus__yml="\n".join(lines)))
    assert mistake.line == 1
    assert "anchors" in mistake.what


def test_a_file_of_too_many_values_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of values is bounded too, exactly."""
    monkeypatch.setattr(tree, "NODES", 10)
    assert load(write(tmp_path, x__patronus__yml=GOOD)).seed == 1
    with pytest.raises(ScenarioError, match="more than 10 values"):
        load(write(tmp_path, x__patronus__yml=GOOD + "seed: 2\n"))

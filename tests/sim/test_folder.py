"""Run folders come back as written, and are whole or not there at all."""

import json
import os
import resource
from dataclasses import replace
from pathlib import Path
from shutil import copyfile

import pandas as pd
import pyarrow.parquet as pq
import pytest

from patronus.engine.units import NEVER
from patronus.sim import folder
from patronus.sim.folder import (
    SCHEMAS,
    FolderError,
    check_free,
    load_run,
    load_runs,
    to_table,
    write_run,
    write_runs,
)
from patronus.sim.report import Recorded
from patronus.sim.run import DECISIONS, DETECTIONS, FAILOVERS, FAULTS, HEALTH, SERIES, Run
from tests.sim.synthetic import make_run

FRAMES = ("decisions", "detections", "failovers", "series", "health", "faults")
COLUMNS = dict(zip(FRAMES, (DECISIONS, DETECTIONS, FAILOVERS, SERIES, HEALTH, FAULTS), strict=True))
ENTRY = {
    "text": "failover.p99 < 1s", "verdict": "fail", "measured": None,
    "measured_text": "never", "limit_text": "< 1 s", "note": "", "never": 2,
}  # fmt: skip
JUDGEMENT = Recorded("failover.p99 < 1s", "fail", None, "never", "< 1 s", "", ENTRY)


def same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    # How text is stored (object or str) depends on the version of pandas, not on us.
    pd.testing.assert_frame_equal(left, right, check_dtype=False)
    numbers = left.select_dtypes("number").columns
    assert (left[numbers].dtypes == right[numbers].dtypes).all()


def test_a_run_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Frames, journal, topology, trace and summary survive the way to disk and back."""
    run = replace(make_run(3), trace=("first line", "zweite Zeile ↵"))
    write_run(run, (), tmp_path / "out")
    loaded = load_run(tmp_path / "out")
    for name in FRAMES:
        same(getattr(loaded, name), getattr(run, name))
    assert (loaded.name, loaded.seed) == (run.name, run.seed)
    assert loaded.journal == run.journal
    assert loaded.topology == run.topology
    assert loaded.trace == run.trace
    assert loaded.summary == {**run.summary, "interrupted": False}


def test_the_folder_holds_the_promised_files(tmp_path: Path) -> None:
    """A run folder has exactly the files that the documentation lists."""
    write_run(make_run(), (), tmp_path / "out", junit=b"<testsuites/>")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "summary.json", "journal.jsonl", "topology.json", "report.html", "junit.xml",
        *(f"{name}.parquet" for name in FRAMES),
    }  # fmt: skip
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_never_stays_never(tmp_path: Path) -> None:
    """A duration that was never reached is the same largest integer in the Parquet file."""
    run = make_run(failovers=[{"failover_ns": NEVER, "switch_ns": NEVER}])
    write_run(run, (), tmp_path / "out")
    column = pq.read_table(tmp_path / "out" / "failovers.parquet")["failover_ns"]
    assert column.to_pylist() == [NEVER]


def test_empty_tables_keep_their_columns_and_types(tmp_path: Path) -> None:
    """A run in which nothing happened writes the same columns and types as any other."""
    run = make_run(failovers=[], detections=[], series=[], decisions=[], health=[], faults=[])
    write_run(run, (), tmp_path / "out")
    for name in FRAMES:
        schema = pq.read_schema(tmp_path / "out" / f"{name}.parquet")
        assert schema.names == list(COLUMNS[name])
        assert schema.equals(SCHEMAS[name])
        assert getattr(load_run(tmp_path / "out"), name).columns.tolist() == list(COLUMNS[name])


def test_types_do_not_depend_on_how_the_frame_stores_them() -> None:
    """Categories and narrow integers become the fixed types of the table."""
    frame = make_run().failovers.astype({"site": "category", "t0_ns": "float64"})
    assert to_table("failovers", frame).schema.equals(SCHEMAS["failovers"])


def test_a_missing_column_is_not_papered_over() -> None:
    """A frame without one of its columns is an error, not a table of nulls."""
    with pytest.raises(KeyError, match="peer"):
        to_table("detections", make_run().detections.drop(columns="peer"))


def test_the_summary_is_sorted_and_indented(tmp_path: Path) -> None:
    """The summary can be read and compared line by line."""
    write_run(make_run(), (), tmp_path / "out")
    text = (tmp_path / "out" / "summary.json").read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def test_what_is_not_finite_is_null_in_the_summary(tmp_path: Path) -> None:
    """JSON has no infinity, so the file stays readable for strict readers."""
    figures = {"failover_ms": {"max": float("inf"), "p50": float("nan"), "n": 2}}
    write_run(make_run(summary=figures), (), tmp_path / "out")
    summary = load_run(tmp_path / "out").summary
    assert summary["failover_ms"] == {"max": None, "p50": None, "n": 2}


def test_judgements_are_recorded(tmp_path: Path) -> None:
    """What was judged stands in the summary in full, and in the report."""
    write_run(make_run(summary={"verdict": "fail"}), [JUDGEMENT], tmp_path / "out")
    assert load_run(tmp_path / "out").summary["expectations"] == [ENTRY]
    assert "failover.p99 &lt; 1s" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_an_interrupted_run_keeps_its_results_and_says_so(tmp_path: Path) -> None:
    """A run that was stopped is written like any other, with a mark in summary and report."""
    run = make_run(summary={"interrupted": True})
    write_run(run, (), tmp_path / "out")
    loaded = load_run(tmp_path / "out")
    assert loaded.summary["interrupted"] is True
    same(loaded.failovers, run.failovers)
    assert "This run was interrupted." in (tmp_path / "out" / "report.html").read_text("utf-8")


def test_an_existing_folder_is_left_alone(tmp_path: Path) -> None:
    """A folder that holds anything is never written to."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("precious")
    with pytest.raises(FolderError, match="already holds files"):
        write_run(make_run(), (), tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_may_be_used(tmp_path: Path) -> None:
    """A folder that was made beforehand and is empty can be filled."""
    (tmp_path / "out").mkdir()
    write_run(make_run(), (), tmp_path / "out")
    assert load_run(tmp_path / "out").name == "synthetic"


@pytest.mark.parametrize("place", ["file", "file/out", "file/deep/out"])
def test_a_file_in_the_way_is_named(tmp_path: Path, place: str) -> None:
    """Where a file stands in the way the message says which, before anything is simulated."""
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match=r"file is a file"):
        check_free(tmp_path / place)
    with pytest.raises(FolderError, match=r"file is a file"):
        write_run(make_run(), (), tmp_path / place)


def test_folders_above_are_made(tmp_path: Path) -> None:
    """A path of which several parts are missing is made."""
    check_free(tmp_path / "a" / "b" / "out")
    write_run(make_run(), (), tmp_path / "a" / "b" / "out")
    assert load_run(tmp_path / "a" / "b" / "out").seed == 1


def test_without_permission_there_is_one_clear_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where writing is not allowed the message says where, before anything is simulated."""
    # Whoever runs as root may write everywhere, so the question to the system is answered here.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(FolderError, match=f"no permission to write in {tmp_path}"):
        check_free(tmp_path / "out")


def test_a_disk_that_fills_up_leaves_nothing_behind(tmp_path: Path) -> None:
    """When the system refuses to write on, there is one clear message and no trace of the run."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
    try:
        with pytest.raises(FolderError, match="too large; nothing was left there"):
            write_run(make_run(), (), tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_while_writing_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the middle of writing passes on, and no half-written folder stays."""

    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(folder, "render_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_run(make_run(), (), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_rival_who_was_faster_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If another process takes the name while this one writes, both results are kept."""

    def rival(*_: object) -> str:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "theirs.txt").write_text("")
        return "<html></html>"

    monkeypatch.setattr(folder, "render_run", rival)
    with pytest.raises(FolderError, match=r"filled by another run meanwhile; .* is in .*/out-2"):
        write_run(make_run(4), (), tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["theirs.txt"]
    assert load_run(tmp_path / "out-2").seed == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "out-2"]


def truncate(path: Path) -> None:
    """Cut a file in the middle, as a disk that was full or a copy that was stopped does."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_several_seeds_have_a_folder_each_and_a_report_over_all(tmp_path: Path) -> None:
    """The runs of several seeds come back in order; over them stand summary and report."""
    runs = [make_run(seed) for seed in (5, 3, 4)]
    write_runs(runs, [JUDGEMENT], tmp_path / "out", summary={"command": "patronus run x"})
    assert [run.seed for run in load_runs(tmp_path / "out")] == [5, 3, 4]
    summary = json.loads((tmp_path / "out" / "summary.json").read_bytes())
    assert summary["seeds"] == [5, 3, 4]
    assert summary["verdict"] == "fail"
    assert summary["command"] == "patronus run x"
    assert [entry["folder"] for entry in summary["runs"]] == ["seed-5", "seed-3", "seed-4"]
    assert summary["runs"][1]["journal_sha256"] == runs[1].summary["journal_sha256"]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert 'href="seed-3/report.html"' in page
    assert (tmp_path / "out" / "seed-3" / "report.html").exists()


def test_one_interrupted_seed_marks_the_whole(tmp_path: Path) -> None:
    """A set of runs of which one was stopped says so in its own summary."""
    write_runs([make_run(1), make_run(2, summary={"interrupted": True})], (), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "summary.json").read_bytes())["interrupted"] is True


@pytest.mark.parametrize("runs", [[], [make_run(1), make_run(1)]], ids=["none", "one twice"])
def test_runs_without_distinct_seeds_are_refused(tmp_path: Path, runs: list[Run]) -> None:
    """No run, or a seed that comes twice, cannot make a folder."""
    with pytest.raises(FolderError, match="each seed once"):
        write_runs(runs, (), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_one_run_can_be_read_as_several_but_not_the_other_way(tmp_path: Path) -> None:
    """Reading several where there is one gives that one; reading one of several is an error."""
    write_run(make_run(7), (), tmp_path / "one")
    write_runs([make_run(1), make_run(2)], (), tmp_path / "two")
    assert [run.seed for run in load_runs(tmp_path / "one")] == [7]
    with pytest.raises(
        FolderError, match=r"the runs of 2 seeds; name one of them, such as .*/two/seed-1 "
    ):
        load_run(tmp_path / "two")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda d: (d / "summary.json").unlink(), "no summary.json"),
        (lambda d: (d / "summary.json").write_text("{"), "cannot read"),
        (lambda d: (d / "summary.json").write_text("[]"), "does not hold a summary"),
        (
            lambda d: (d / "summary.json").write_text("{}"),
            "summary.json: it does not say what `name` is",
        ),
        (lambda d: (d / "journal.jsonl").unlink(), "it has no journal.jsonl"),
        (lambda d: (d / "journal.jsonl").write_bytes(b"{}\n"), "journal.jsonl: it is not the one"),
        (lambda d: truncate(d / "journal.jsonl"), "journal.jsonl: it is not the one"),
        (lambda d: (d / "faults.parquet").unlink(), "it has no faults.parquet"),
        (lambda d: (d / "faults.parquet").write_bytes(b"PAR1"), "faults.parquet: "),
        (lambda d: truncate(d / "faults.parquet"), "faults.parquet: "),
        (lambda d: copyfile(d / "series.parquet", d / "faults.parquet"), "columns are not those"),
        (lambda d: (d / "topology.json").write_text("no"), "topology.json: "),
        (lambda d: (d / "topology.json").write_text("{}"), "it does not hold a network"),
    ],
)
def test_damage_is_told_apart_from_a_run(tmp_path: Path, damage: object, said: str) -> None:
    """A folder that is no run, or lacks or spoils a file, gives one clear message."""
    write_run(make_run(), (), tmp_path / "out")
    assert callable(damage)
    damage(tmp_path / "out")
    with pytest.raises(FolderError, match=said):
        load_run(tmp_path / "out")


def test_a_path_that_is_no_folder_is_no_run(tmp_path: Path) -> None:
    """A name that does not exist is reported like a folder without a run."""
    with pytest.raises(FolderError, match="is not a run folder"):
        load_runs(tmp_path / "missing")

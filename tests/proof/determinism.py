"""Prove that one scenario and one seed give one journal, wherever they run.

    make proof-determinism PYTHONS="python3.11 python3.12 python3.13"

Runs the installed product in fresh environments: each Python with the newest
libraries, the first also with the oldest; with CPU features taken from NumPy;
under three hash seeds; with 1, 2 and 8 workers. All fingerprints must equal the
first, another seed's must not, and a run without decisions proves nothing. The
table goes to ``docs/determinism.md``.

Exit code: 0 all ran and agree, 1 some disagree or failed, 3 the rest agree but
some could not be run here.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.proof.environments import (
    AVX2,
    AVX512,
    Environment,
    NotMade,
    build_wheel,
    last_line,
    make,
)

ROOT = Path(__file__).resolve().parents[2]
SEED, OTHER_SEED, REPEAT = 1, 2, 4
FINISHED = (0, 1, 3)
"""Exit codes of a run that came to its end, whatever its expectations said."""

Fingerprints = Mapping[str, tuple[str, str]]
"""(decisions, journal) by the summary's place in the output folder."""


@dataclass(frozen=True, slots=True)
class Case:
    """One run, and what is special about it."""

    where: Environment
    what: str
    arguments: tuple[str, ...] = ("--seed", str(SEED))
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    where: str
    what: str
    verdict: str
    journal: str = ""

    @property
    def exit_code(self) -> int:
        """0 when the row says what it should, 3 when it says nothing, else 1."""
        return {"same": 0, "differs, as it must": 0}.get(
            self.verdict, 3 if self.verdict.startswith("not run") else 1
        )


class ProofError(Exception):
    """A run that can prove nothing."""


def run(case: Case, scenario: Path, out: Path) -> Fingerprints:
    """Run one case and return its fingerprints.

    Raises:
        ProofError: the run failed, left no summary, or decided nothing.
    """
    arguments = [str(scenario), *case.arguments, "--json", "--out", str(out)]
    done = subprocess.run(
        [case.where.bin / "patronus", "run", *arguments],
        cwd=out.parent,
        env=os.environ | case.variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in FINISHED:
        raise ProofError(f"exit code {done.returncode}: {last_line(done.stderr)}")
    told = {p.relative_to(out).as_posix(): json.loads(p.read_text()) for p in summaries(out)}
    # A summary of many runs together has no journal; each of the runs has its own.
    runs = {place: summary for place, summary in told.items() if "journal_sha256" in summary}
    if not runs:
        raise ProofError("no summary.json with a fingerprint")
    if not all(summary["counts"]["decisions"] for summary in runs.values()):
        raise ProofError("the journal is empty")
    return {p: (s["decisions_sha256"], s["journal_sha256"]) for p, s in runs.items()}


def summaries(out: Path) -> list[Path]:
    """Return the summaries in an output folder: one, or one a seed below it."""
    return sorted(out.rglob("summary.json"))


def single_cases(where: list[Environment]) -> Iterator[Case | Row]:
    """Yield what must all have one fingerprint, the reference first."""
    first = where[0]
    for environment in where:
        yield Case(environment, "plain")
    for environment in {e.name: e for e in (first, where[-1])}.values():
        yield from feature_cases(environment)
    for seed in ("0", "1", "random"):
        yield Case(first, f"PYTHONHASHSEED={seed}", variables={"PYTHONHASHSEED": seed})


def feature_cases(where: Environment) -> Iterator[Case | Row]:
    """Yield runs on which NumPy sees a smaller CPU, or why that cannot be shown here."""
    for label, prefixes in (("without AVX-512", AVX512), ("without AVX2", AVX2)):
        removed = where.features(prefixes)
        left = where.still_there(removed)
        if not removed:
            yield Row(where.name, label, "not run: this CPU has no such features")
        elif left:
            yield Row(where.name, label, f"not run: NumPy keeps {' '.join(left)}")
        else:
            yield Case(where, label, variables={"NPY_DISABLE_CPU_FEATURES": " ".join(removed)})


def worker_cases(where: Environment) -> Iterator[Case]:
    """Yield the same repetitions shared out among 1, 2 and 8 workers."""
    many = ("--seed", str(SEED), "--repeat", str(REPEAT))
    for jobs in (1, 2, 8):
        yield Case(where, f"{REPEAT} seeds, {jobs} workers", (*many, "--jobs", str(jobs)))


class Proof:
    """Runs cases one by one and keeps the table."""

    def __init__(self, scenario: Path, work: Path) -> None:
        self.scenario, self.work = scenario, work
        self.rows: list[Row] = []

    def prove(self, environments: list[Environment]) -> None:
        """Run everything that the environments allow."""
        reference = self.compare(single_cases(environments))
        first = environments[0]
        self.compare(worker_cases(first), must_hold=reference)
        other = Case(first, f"seed {OTHER_SEED}", ("--seed", str(OTHER_SEED)))
        self.compare(iter([other]), differs_from=reference)

    def compare(
        self,
        cases: Iterator[Case | Row] | Iterator[Case],
        *,
        must_hold: Fingerprints | None = None,
        differs_from: Fingerprints | None = None,
    ) -> Fingerprints | None:
        """Run cases that must agree among each other; return what the first one gave.

        Args:
            cases: the runs; a row is one that cannot be run.
            must_hold: fingerprints that must be among those of every case.
            differs_from: fingerprints that no case may repeat.
        """
        reference: Fingerprints | None = None
        for case in cases:
            if isinstance(case, Row):
                self.add(case)
                continue
            try:
                found = run(case, self.scenario, self.work / f"run-{len(self.rows)}")
            except ProofError as problem:
                self.add(Row(case.where.name, case.what, f"failed: {problem}"))
                continue
            reference = reference or found
            verdict = "same" if found == reference else "DIFFERS"
            if must_hold is not None and not set(must_hold.values()) <= set(found.values()):
                verdict = "DIFFERS from the single run"
            if differs_from is not None:
                repeated = set(differs_from.values()) & set(found.values())
                verdict = "SAME as another seed's" if repeated else "differs, as it must"
            self.add(Row(case.where.name, case.what, verdict, shortened(found)))
        return reference

    def add(self, row: Row) -> None:
        """Keep a row and show it."""
        self.rows.append(row)
        print(f"{row.where:32} {row.what:24} {row.journal:18} {row.verdict}", flush=True)

    @property
    def exit_code(self) -> int:
        """1 when anything is wrong, else 3 when anything is missing, else 0."""
        codes = {row.exit_code for row in self.rows}
        return 1 if 1 in codes or not self.rows else max(codes)


def shortened(found: Fingerprints) -> str:
    """Return the first journal's fingerprint, and how many there are."""
    journals = [journal[:12] for _, (_, journal) in sorted(found.items())]
    return journals[0] + (f" + {len(journals) - 1}" if len(journals) > 1 else "")


def table(scenario: str, environments: list[Environment], rows: list[Row]) -> str:
    """Return the document: what ran, and what every run gave."""
    missing = sum(row.exit_code == 3 for row in rows)
    wrong = sum(row.exit_code == 1 for row in rows)
    good = len(rows) - missing - wrong
    lines = [
        "# Determinism, as measured",
        "",
        "Written by `make proof-determinism`; not edited. The same scenario and seed must give the",
        "same `journal_sha256` in every row but the last, where another seed must give another.",
        "",
        f"Scenario `{scenario}`, seed {SEED}.",
        f"Rows as they must be: {good}, wrong: {wrong}, not run: {missing}.",
        "",
        "| environment | Python | NumPy | SciPy | networkx |",
        "|---|---|---|---|---|",
    ]
    for e in environments:
        lines.append("| " + " | ".join([e.name, *e.versions.values()]) + " |")
    lines += ["", "| environment | run | journal | verdict |", "|---|---|---|---|"]
    for row in rows:
        lines.append(f"| {row.where} | {row.what} | `{row.journal or '-'}` | {row.verdict} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Make the environments, run the cases, write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scenario", type=Path)
    parser.add_argument("--pythons", default="python3.11 python3.12 python3.13")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "proof")
    parser.add_argument("--table", type=Path, default=ROOT / "docs" / "determinism.md")
    asked = parser.parse_args()
    shutil.rmtree(asked.work, ignore_errors=True)
    asked.work.mkdir(parents=True)
    wheel = build_wheel(ROOT, asked.work / "wheel")
    pythons = asked.pythons.split()
    wanted = [(python, False) for python in pythons] + [(pythons[0], True)]
    made = [make(python, wheel, asked.work, oldest=oldest) for python, oldest in wanted]
    proof = Proof(asked.scenario.resolve(), asked.work)
    for failed in (e for e in made if isinstance(e, NotMade)):
        proof.add(Row(failed.name, "plain", f"not run: {failed.reason}"))
    environments = [e for e in made if isinstance(e, Environment)]
    if environments:
        proof.prove(environments)
    asked.table.write_text(table(asked.scenario.name, environments, proof.rows))
    print(f"Table: {asked.table}")
    return proof.exit_code


if __name__ == "__main__":
    sys.exit(main())

"""The proof of determinism: it passes a sound product and catches an unsound one.

The product is a stand-in whose fingerprint depends on what the test says.
"""

import sys
from pathlib import Path

import pytest

from tests.proof.determinism import Case, Proof, Row, table
from tests.proof.environments import OLDEST, Environment, NotMade, make
from tests.rules.tree import ROOT

PYTHON = f'#!/bin/sh\nexec {sys.executable} "$@"\n'
PYTHON_OF_A_PLAIN_CPU = "#!/bin/sh\necho '[]'\n"
PYTHON_THAT_KEEPS_AVX2 = """#!/bin/sh\necho '["AVX2"]'\n"""

PATRONUS = """#!{python}
import hashlib, json, os, pathlib, sys
words = sys.argv[1:]
value = lambda name, default: words[words.index(name) + 1] if name in words else default
out, seed = pathlib.Path(value("--out", "")), int(value("--seed", "1"))
jobs, repeat = value("--jobs", "1"), int(value("--repeat", "1"))
for seed in range(seed, seed + repeat):
    folder = out / f"seed-{{seed}}" if repeat > 1 else out
    folder.mkdir(parents=True)
    journal = hashlib.sha256(repr({luck}).encode()).hexdigest()
    counts = {{"decisions": {decisions}}}
    summary = dict(decisions_sha256=journal, journal_sha256=journal, counts=counts)
    (folder / "summary.json").write_text(json.dumps(summary))
sys.exit({code})
"""


def installation(
    folder: Path,
    name: str = "one",
    *,
    luck: str = "seed",
    decisions: int = 7,
    code: int = 0,
    python: str = PYTHON_OF_A_PLAIN_CPU,
) -> Environment:
    """Return an environment that holds the stand-in and an interpreter."""
    bin_ = folder / name
    bin_.mkdir()
    product = PATRONUS.format(python=sys.executable, luck=luck, decisions=decisions, code=code)
    (bin_ / "patronus").write_text(product)
    (bin_ / "python").write_text(python)
    for program in bin_.iterdir():
        program.chmod(0o755)
    return Environment(name, bin_, {"python": "3", "numpy": "2", "scipy": "1", "networkx": "3"})


def proven(folder: Path, *environments: Environment) -> Proof:
    """Run the whole proof over environments."""
    proof = Proof(folder / "any.patronus.yml", folder)
    proof.prove(list(environments))
    return proof


def test_a_sound_product_passes(tmp_path: Path) -> None:
    """One fingerprint everywhere and another for another seed: every row that ran is right."""
    first = installation(tmp_path, python=PYTHON)
    proof = proven(tmp_path, first, installation(tmp_path, "two"))
    ran = [row for row in proof.rows if not row.verdict.startswith("not run")]
    assert {row.verdict for row in ran} == {"same", "differs, as it must"}
    assert [row.where for row in ran if row.what == "plain"] == ["one", "two"]
    assert ran[-1].what == "seed 2"
    assert proof.exit_code == (0 if len(ran) == len(proof.rows) else 3)


@pytest.mark.parametrize(
    ("luck", "where"),
    [
        ("(seed, os.environ.get('PYTHONHASHSEED'))", "PYTHONHASHSEED=0"),
        ("(seed, jobs)", "4 seeds, 8 workers"),
        ("(seed, 'one' in sys.argv[0])", "plain"),
    ],
)
def test_an_unsound_product_is_caught(tmp_path: Path, luck: str, where: str) -> None:
    """A fingerprint that depends on hash seed, workers or installation is shown as different."""
    first = installation(tmp_path, luck=luck)
    proof = proven(tmp_path, first, installation(tmp_path, "two", luck=luck))
    assert where in {row.what for row in proof.rows if row.verdict.startswith("DIFFERS")}
    assert proof.exit_code == 1


def test_one_journal_for_every_seed_is_caught(tmp_path: Path) -> None:
    """A product that ignores the seed is not deterministic, it is deaf."""
    proof = proven(tmp_path, installation(tmp_path, luck="0"))
    assert proof.rows[-1].verdict == "SAME as another seed's"
    assert proof.exit_code == 1


@pytest.mark.parametrize(
    ("decisions", "code", "reason"),
    [(0, 0, "failed: the journal is empty"), (7, 2, "failed: exit code 2: no message")],
)
def test_a_run_that_proves_nothing_fails(
    tmp_path: Path, decisions: int, code: int, reason: str
) -> None:
    """An empty journal and a run that broke off are failures, not agreements."""
    proof = proven(tmp_path, installation(tmp_path, decisions=decisions, code=code))
    assert {row.verdict for row in proof.rows if row.exit_code != 3} == {reason}
    assert proof.exit_code == 1


def test_features_that_numpy_keeps_are_not_run(tmp_path: Path) -> None:
    """Where a feature cannot be taken away, the row says so instead of passing."""
    proof = proven(tmp_path, installation(tmp_path, python=PYTHON_THAT_KEEPS_AVX2))
    told = {row.what: row.verdict for row in proof.rows if row.what.startswith("without")}
    assert told["without AVX2"] == "not run: NumPy keeps AVX2"
    assert told["without AVX-512"] == "not run: this CPU has no such features"
    assert proof.exit_code == 3


def test_features_taken_away_are_gone(tmp_path: Path) -> None:
    """What the environment variable names is no longer among what NumPy uses."""
    here = installation(tmp_path, python=PYTHON)
    removed = here.features(("AVX", "X86_V", "SSE4", "ASIMD", "NEON"))
    assert here.still_there(removed) == []


def test_a_missing_interpreter_is_not_made(tmp_path: Path) -> None:
    """An interpreter that is not on the machine is reported by name, never left out."""
    made = make("python3.99", tmp_path / "no.whl", tmp_path, oldest=False)
    assert made == NotMade("python3.99, newest libraries", "python3.99 is not on this machine")
    proof = Proof(tmp_path / "any.patronus.yml", tmp_path)
    proof.add(Row(made.name, "plain", f"not run: {made.reason}"))
    assert proof.exit_code == 3
    assert "python3.99 is not on this machine" in table("any", [], proof.rows)


def test_the_table_shows_every_row(tmp_path: Path) -> None:
    """The document lists each environment with its versions and each run with its verdict."""
    where = installation(tmp_path)
    proof = Proof(tmp_path / "any.patronus.yml", tmp_path)
    proof.compare(iter([Case(where, "plain")]))
    text = table("any.patronus.yml", [where], proof.rows)
    assert "| one | 3 | 2 | 1 | 3 |" in text
    assert f"| one | plain | `{proof.rows[0].journal}` | same |" in text


def test_the_oldest_set_is_the_lower_bounds() -> None:
    """The pinned set names each dependency at the version that the project says it needs."""
    project = (ROOT / "pyproject.toml").read_text()
    pins = [line.split("==") for line in OLDEST.read_text().splitlines() if "==" in line]
    for name, version in pins:
        bound = project.split(f'"{name}>=')[1].split('"')[0]
        assert f"{version}.".startswith(f"{bound}."), f"{name}: {version} is not {bound}"
    listed = project.split("dependencies = [")[1].split("]")[0].count(">=")
    assert len(pins) == listed + 1  # and topohub of the extra

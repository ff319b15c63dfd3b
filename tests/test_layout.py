"""Packaging: links, wheel map and type checkers agree, and the artifacts hold every file."""

import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from tests.rules.tree import ROOT

PACKAGE = ROOT / "src" / "patronus"
LINKS = {path.name for path in PACKAGE.iterdir() if path.is_symlink()}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TOOL = PROJECT["tool"]


def shipped_files() -> set[str]:
    """Return the name in the wheel of every file that an installation must have."""
    found = {"patronus/__init__.py", "patronus/__main__.py", "patronus/py.typed"}
    for folder in sorted(LINKS):
        files = (path for path in (ROOT / folder).rglob("*") if path.is_file())
        found.update(
            f"patronus/{p.relative_to(ROOT)}" for p in files if "__pycache__" not in p.parts
        )
    return found


def hatch(source: Path, target: str, out: Path) -> Path:
    """Build one artifact with the backend that an isolated build would use."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    subprocess.run(command, cwd=source, capture_output=True, check=True)
    (built,) = out.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


def names_in(wheel: Path) -> set[str]:
    """Return the files in a wheel, without its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel of this checkout."""
    return hatch(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


def test_links_point_at_top_level_folders() -> None:
    """Each link in ``src/patronus`` leads, relatively, to the folder of the same name."""
    assert {"engine", "dataplane", "sim", "control", "scenarios", "bpf"} <= LINKS
    for name in LINKS:
        link = PACKAGE / name
        assert link.is_dir()
        assert str(link.readlink()) == f"../../{name}"


def test_sdist_and_wheel_cover_every_link() -> None:
    """Each linked folder is mapped into the wheel and listed for both artifacts."""
    targets = TOOL["hatch"]["build"]["targets"]
    sources = {k: v for k, v in targets["wheel"]["sources"].items() if k != "src"}
    assert sources == {name: f"patronus/{name}" for name in LINKS}
    for target in ("sdist", "wheel"):
        assert set(targets[target]["only-include"]) >= LINKS


def test_type_checkers_and_linter_name_every_code_folder() -> None:
    """Tools that do not follow the links are told of each folder that holds code."""
    code = {name for name in LINKS if (ROOT / name / "__init__.py").is_file()}
    listed = {p.removeprefix("src/patronus/") for p in TOOL["pyright"]["include"]}
    assert code <= listed
    assert code == set(TOOL["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"])


def test_wheel_holds_every_file(wheel: Path) -> None:
    """Code, scenarios, C sources and the typing marker are in the wheel, and nothing else."""
    names = names_in(wheel)
    assert names == shipped_files()
    assert "patronus/sim/scenario.py" in names
    assert any(name.startswith("patronus/scenarios/") for name in names)


def test_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """A wheel made from the source distribution holds the same files; the tests are in there."""
    sdist = hatch(ROOT, "sdist", tmp_path / "sdist")
    subprocess.run(["tar", "-xzf", str(sdist), "-C", str(tmp_path)], check=True)
    (unpacked,) = tmp_path.glob("patronus-*/")
    assert (unpacked / "tests" / "test_layout.py").is_file()
    assert (unpacked / "LICENSE").is_file()
    assert names_in(hatch(unpacked, "wheel", tmp_path / "again")) == names_in(wheel)


def test_wheel_gives_the_command(wheel: Path, tmp_path: Path) -> None:
    """An installed wheel runs ``patronus`` from its own files, outside of any checkout."""
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--no-deps",
        "--no-index",
    ]
    subprocess.run([*pip, "--quiet", str(wheel)], check=True, cwd=tmp_path)
    lend_dependencies(tmp_path / "venv")
    where = "import patronus.control.cli as cli; print(cli.__file__)"
    # A path to modules from outside would be searched before the environment's own.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    told = subprocess.run(
        [python, "-c", where], capture_output=True, cwd=tmp_path, check=True, env=env
    )
    assert str(tmp_path) in told.stdout.decode()
    command = tmp_path / "venv" / "bin" / "patronus"
    done = subprocess.run(
        [command, "--help"], capture_output=True, cwd=tmp_path, check=True, env=env
    )
    assert b"Usage: patronus" in done.stdout


def lend_dependencies(folder: Path) -> None:
    """Let an environment see this one's packages, after its own and without our checkout."""
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")


@pytest.mark.slow
def test_pip_install_gives_the_command(tmp_path: Path) -> None:
    """``pip install .`` in a fresh environment, isolated build and all, gives ``patronus``."""
    venv.create(tmp_path / "venv", with_pip=True, symlinks=True)
    bin_ = tmp_path / "venv" / "bin"
    subprocess.run([bin_ / "pip", "install", "--quiet", str(ROOT)], check=True, cwd=tmp_path)
    done = subprocess.run([bin_ / "patronus", "--help"], capture_output=True, check=True)
    assert b"Usage: patronus" in done.stdout

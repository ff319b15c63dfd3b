"""The fuzzer's targets take their seeds, and its program says what it needs."""

import random
import subprocess
import sys
from pathlib import Path

from tests.fuzz.targets import seeds, targets
from tests.rules.tree import ROOT


def test_targets_take_good_and_bad_input() -> None:
    """No target objects to the seeds, nor to a few hundred changes of them."""
    luck = random.Random(1)
    for target in targets().values():
        for seed in seeds():
            target(seed)
            for _ in range(5):
                broken = bytearray(seed)
                broken[luck.randrange(len(broken))] = luck.randrange(256)
                target(bytes(broken[: luck.randrange(len(broken) + 1)]))
        target(b"")


def test_without_atheris_the_program_says_so(tmp_path: Path) -> None:
    """Who has no fuzzer is told what to install, and sees no traceback."""
    (tmp_path / "atheris.py").write_text("raise ImportError\n")
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.announcements"],
        cwd=ROOT, env={"PYTHONPATH": f"{tmp_path}:{ROOT / 'src'}"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("atheris is not installed here.")
    assert "Traceback" not in done.stderr

"""The records of kernel and user space: one layout, seen from C and from NumPy."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from patronus.dataplane.linux import records
from tests.rules.tree import ROOT


def compiles(text: str, folder: Path) -> bool:
    source = folder / "layout.c"
    headers = '#include "consts.h"\n#include "records.h"\n'
    source.write_text(headers + text)
    command = ["cc", "-fsyntax-only", "-I", str(ROOT / "bpf"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode == 0


@pytest.mark.root
def test_c_and_numpy_agree(tmp_path: Path) -> None:
    """Each size, each offset and each number is the same on both sides."""
    assert compiles(records.assertions(), tmp_path)


@pytest.mark.root
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sizeof(struct tunnel) == 512", "sizeof(struct tunnel) == 448"),
        ("(struct flow, row) == 2", "(struct flow, row) == 4"),
        ("STEER_BACKUP == 1", "STEER_BACKUP == 2"),
        ("LAYOUT == 4", "LAYOUT == 5"),
    ],
)
def test_a_layout_that_differs_does_not_compile(old: str, new: str, tmp_path: Path) -> None:
    """A record changed on one side alone is found before any program is built."""
    text = records.assertions()
    assert old in text
    assert not compiles(text.replace(old, new), tmp_path)


def test_hot_fields_share_no_cache_line() -> None:
    """The receiver's stamps, both accounts and the constants lie on lines of 64 bytes apart."""
    fields = records.TUNNEL.fields
    assert fields is not None
    starts = ["heard_ns", "rx_gap", "tx_sequence", "local", "delay_ns", "probe"]
    assert [fields[name][1] for name in starts] == [0, 64, 128, 192, 256, 320]
    assert records.TUNNEL.itemsize % 64 == records.SETTINGS.itemsize % 64 == 0


def test_new_records_are_empty() -> None:
    """Fresh memory holds no row, no flow and no move."""
    assert not records.zeros(records.USED, 3).view(np.uint8).any()

"""Loading: built once, pinned whole, kept over upgrades."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from patronus.dataplane.linux import builder, description, loader, records, syscall
from patronus.dataplane.linux.loader import load, unload
from patronus.dataplane.linux.objects import MapShape, Object, Program, read_object, write_object
from patronus.dataplane.linux.pins import BPF_ROOT, Pins, Sizes

pytestmark = pytest.mark.root

SIZES = Sizes(rows=4, entries=16, flows=64, fragments=16, prefixes=16, rule_prefixes=16, moves=128)


@pytest.fixture
def name() -> Iterator[str]:
    """Return a name below the BPF file system that is free, and again afterwards."""
    free = f"patronus-bpf-test-load-{os.getpid()}"
    unload(free)
    yield free
    unload(free)


def test_pins_outlive_the_process(name: str, compiled: Object) -> None:
    """What is pinned is found again with all it holds."""
    with load(name, compiled, SIZES) as pins:
        pins.array("tunnels")["tx_sequence"][2] = 77
    with Pins.open(name) as again:
        assert again.array("tunnels")["tx_sequence"].tolist() == [0, 0, 77, 0]
        assert {"steer_lan", "tunnel_ether"} <= again.programs.keys()


def test_an_upgrade_keeps_maps_and_replaces_programs(name: str, compiled: Object) -> None:
    """Latches and counters stay; each program is exchanged in one step."""
    with load(name, compiled, SIZES) as pins:
        pins.array("tunnels")["latched"][1] = False
    with load(name, compiled, SIZES) as pins:
        assert pins.array("tunnels")["latched"].tolist() == [True, False, True, True]
    held = {path.name for path in (BPF_ROOT / name / "programs").iterdir()}
    assert held == set(compiled.programs)


def test_another_layout_is_not_opened(name: str, compiled: Object) -> None:
    """Programs and agents of two layouts never meet in one map; a loader makes it ours."""
    with load(name, compiled, SIZES) as pins:
        pins.array("settings")["layout"] = records.LAYOUT + 1
    with pytest.raises(ValueError, match=f"has layout {records.LAYOUT + 1}, wanted is"):
        Pins.open(name)
    load(name, compiled, SIZES).close()
    Pins.open(name).close()


def test_the_verifiers_reason_is_told(name: str, compiled: Object) -> None:
    """A program that the kernel refuses says why, and nothing stays open or pinned."""
    broken = Object(compiled.maps, {"steer_lan": Program(b"\x95" + bytes(7), ())})
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="the kernel refuses steer_lan"):
        load(name, broken, SIZES)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert list((BPF_ROOT / name / "programs").iterdir()) == []


def test_what_is_built_is_built_once(request: pytest.FixtureRequest, compiled: Object) -> None:
    """With the cache filled no compiler starts, and the result is the same."""
    cache: Path = request.config.cache.mkdir("bpf")
    before = {path: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert builder.build(cache, ["-DTEST_CLOCK"]) == compiled
    assert {path: path.stat().st_mtime_ns for path in cache.iterdir()} == before


def test_a_source_that_does_not_compile_is_told(tmp_path: Path) -> None:
    """The compiler's own words come back, and no file is left in the cache."""
    source = tmp_path / "broken.bpf.c"
    source.write_text("int program(struct __sk_buff *skb) { return nowhere; }\n")
    with pytest.raises(ValueError, match="nowhere"):
        builder.build(tmp_path / "cache", sources=[str(source)])
    assert not (tmp_path / "cache").exists()


def test_a_bad_cache_costs_nothing_but_time(tmp_path: Path) -> None:
    """A file that a crash has cut is made anew, and used even where it cannot be kept."""
    shutil.copytree(builder.source_path("steer.bpf.c").parent, tmp_path / "bpf")
    source = tmp_path / "bpf" / "tiny.bpf.c"
    source.write_text('#include "base.h"\nint tiny(struct __sk_buff *skb) { return 0; }\n')
    kept = builder.place(tmp_path / "cache", source, [])
    kept.with_suffix(".fresh").mkdir(parents=True)  # in the way of whoever writes
    kept.write_text("")
    assert list(builder.build(kept.parent, sources=[str(source)]).programs) == ["tiny"]
    assert kept.read_text() == ""


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"maps": {}, "programs": {"x": 5}}', "{"])
def test_a_broken_file_in_the_cache_is_no_program(text: str, tmp_path: Path) -> None:
    """What was cut or forged is refused with the name of the file."""
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"x\.json is no compiled program"):
        read_object(path)


def test_objects_are_read_as_they_were_written(compiled: Object, tmp_path: Path) -> None:
    """Instructions, references and shapes of maps survive the file."""
    write_object(tmp_path / "x.json", compiled)
    assert read_object(tmp_path / "x.json") == compiled


def test_parts_must_agree_on_their_maps(compiled: Object) -> None:
    """Two sources that mean different maps by one name are not loaded together."""
    other = Object({"flows": MapShape(1, 2, 3, 4, 5)}, {})
    with pytest.raises(ValueError, match="two shapes of the map flows"):
        Object.merged([compiled, other])


@pytest.mark.parametrize("bad", ["", "..", "a/b", "."])
def test_names_cannot_lead_elsewhere(bad: str, compiled: Object) -> None:
    """A name is one folder below the BPF file system, never a path."""
    with pytest.raises(ValueError, match="no name for pins"):
        load(bad, compiled, SIZES)
    with pytest.raises(ValueError, match="no name for pins"):
        unload(bad)


def test_the_loader_is_a_program(name: str, request: pytest.FixtureRequest) -> None:
    """It loads, it unloads, and what goes wrong is one line."""
    cache = str(request.config.cache.mkdir("bpf"))
    command = [sys.executable, "-m", "patronus.dataplane.linux.loader", name, "--cache", cache]
    subprocess.run([*command, "--rows", "4"], check=True)
    with Pins.open(name) as pins:
        assert len(pins.array("tunnels")) == 4
    with Pins.open(name) as pins:
        pins.array(description.NAME, description.TEXT)[0, 0] = ord("x")
    done = subprocess.run([*command, "--rows", "5"], capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    subprocess.run([*command, "--unload"], check=True)
    assert not (BPF_ROOT / name).exists()
    assert loader.unload(name) is False


def test_memory_is_mapped_once(name: str, compiled: Object) -> None:
    """However often an array is asked for, descriptors do not pile up; closing frees them."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with load(name, compiled, SIZES) as pins:
        first = pins.array("tunnels")
        opened = len(list(Path("/proc/self/fd").iterdir()))
        assert all(pins.array("tunnels") is first for _ in range(100))
        assert len(list(Path("/proc/self/fd").iterdir())) == opened
    del first
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_keys_that_are_not_there_are_none(name: str, compiled: Object) -> None:
    """Looking up, deleting and walking an empty table are no errors; misuse is one."""
    with load(name, compiled, SIZES) as pins:
        table = pins.maps["fragments"]
        key = bytes(records.FRAGMENT_KEY.itemsize)
        assert syscall.lookup(table, key, records.FRAGMENT.itemsize) is None
        assert syscall.delete(table, key) is False
        assert syscall.next_key(table, None, len(key)) is None
        with pytest.raises(OSError, match="MAP_LOOKUP_ELEM"):
            syscall.lookup(2**31 - 1, key, records.FRAGMENT.itemsize)
        assert np.count_nonzero(pins.array("counters")["packets"]) == 0

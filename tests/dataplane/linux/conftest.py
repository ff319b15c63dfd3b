"""The programs, loaded once for all tests of this folder, with a clock that tests set."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from patronus.dataplane.linux import builder
from patronus.dataplane.linux.loader import load, unload
from patronus.dataplane.linux.objects import Object
from patronus.dataplane.linux.pins import Pins, Sizes
from tests.dataplane.linux.kit import Kit

SIZES = Sizes(
    rows=16, entries=64, flows=1024, fragments=256, prefixes=256, rule_prefixes=64, moves=1024
)


@pytest.fixture(scope="session")
def program_cache(pytestconfig: pytest.Config) -> Path:
    """Return where compiled programs are kept from one run of the tests to the next."""
    assert pytestconfig.cache is not None
    return pytestconfig.cache.mkdir("bpf")


@pytest.fixture(scope="session")
def compiled(program_cache: Path) -> Object:
    """Compile with a clock of the tests."""
    return builder.build(program_cache, ["-DTEST_CLOCK"])


@pytest.fixture(scope="session")
def pins(compiled: Object) -> Iterator[Pins]:
    """Return the pinned programs and maps."""
    name = f"patronus-bpf-test-{os.getpid()}"
    unload(name)
    try:
        with load(name, compiled, SIZES) as loaded:
            yield loaded
    finally:
        unload(name)


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[Callable[[str, str, str, str], Kit]]:
    """Return how to load one source with a piece of text in one of its files replaced."""
    name = f"patronus-bpf-test-broken-{os.getpid()}"
    opened = contextlib.ExitStack()

    def build(source: str, file: str, old: str, new: str) -> Kit:
        copy = tmp_path / "bpf"
        shutil.copytree(builder.source_path(source).parent, copy)
        text = (copy / file).read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file}"
        (copy / file).write_text(text.replace(old, new))
        made = builder.build(tmp_path / "cache", ["-DTEST_CLOCK"], [str(copy / source)])
        unload(name)
        opened.callback(unload, name)
        return Kit(opened.enter_context(load(name, made, SIZES)), SIZES)

    with opened:
        yield build


@pytest.fixture
def kit(pins: Pins) -> Kit:
    """Return the programs with empty maps."""
    return Kit(pins, SIZES)


@pytest.fixture(scope="session")
def programs(pytestconfig: pytest.Config) -> Path:
    """Return where compiled programs are kept from one run of the tests to the next."""
    assert pytestconfig.cache is not None
    return pytestconfig.cache.mkdir("patronus-programs")

"""An upgrade that changes sizes or layout takes over all that the kernel holds."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.dataplane.linux import description, probing, records, syscall, transfer
from patronus.dataplane.linux.loader import load, unload
from patronus.dataplane.linux.objects import MapShape, Object, Program
from patronus.dataplane.linux.pins import BPF_ROOT, Pins, Sizes, mapped
from patronus.dataplane.linux.transfer import OLD, Elder, by_name, elder, refresh
from patronus.engine.units import NEVER

pytestmark = pytest.mark.root

SMALL = Sizes(rows=4, entries=16, flows=64, fragments=16, prefixes=16, rule_prefixes=16, moves=128)
LARGE = SMALL.grown(Sizes(rows=8, entries=32, flows=8, fragments=1, prefixes=32, moves=256))
MARKS = ("heard_ns", "confirmed_ns", "since_ns", "sequence", "latched", "rx_gap", "tx_sequence",
         "session_in", "session_out", "peer_id", "mtu", "drain_until_ns", "rx_packets")  # fmt: skip


@pytest.fixture
def maps_alone(compiled: Object) -> Object:
    """Return the maps without programs, which take the verifier's time."""
    return Object(compiled.maps, {})


@pytest.fixture
def name() -> Iterator[str]:
    """Return a name below the BPF file system that is free, and again afterwards."""
    free = f"patronus-bpf-test-carry-{os.getpid()}"
    unload(free)
    yield free
    unload(free)


def filled(array: Any, seed: int, skip: frozenset[str] = frozenset()) -> None:
    """Fill records with bytes that differ from each other."""
    draw = np.random.default_rng(seed)
    for field in array.dtype.names:
        if field not in skip:
            part = array[field]
            part[...] = draw.integers(1, 100, part.shape).astype(part.dtype)


def live(pins: Pins) -> dict[str, Any]:
    """Let pins hold something in every array that is carried; return copies."""
    filled(pins.array("tunnels"), 1, frozenset({"hop"}))
    filled(pins.array("pacing"), 2)
    filled(pins.array("used"), 3)
    filled(pins.array("schedule"), 4)
    filled(pins.array("counters"), 5)
    draw = np.random.default_rng(6)
    pins.array("entries")[:] = draw.integers(1, 1 << 60, len(pins.array("entries")))
    ways = pins.array("flows")["way"]
    filled(ways, 7)
    ways["sequence"] &= 0xFFFE
    settings = pins.array("settings")
    settings["epoch"], settings["bank_word"], settings["hold_ns"] = 12, 7, 99
    ring = pins.array("ring")
    ring["next"], ring["head"], ring["tail"], ring["lost"] = 9, 8, 5, 1
    pins.array("moves")["number"] = np.arange(len(pins.array("moves")))
    return {n: pins.array(n).copy() for n in (*transfer.PLAIN, "counters", "entries", "flows",
                                             "settings", "ring", "moves")}  # fmt: skip


def inspect(pins: Pins, before: dict[str, Any], rows: int = SMALL.rows) -> None:
    """All that was there is where it belongs."""
    for field in MARKS:
        found, wanted = pins.array("tunnels")[field][:rows], before["tunnels"][field]
        assert (found == wanted).all(), field
    probing = pins.array("tunnels")["probe"][:rows]
    # Padding among the probes' words is not carried into another layout.
    assert (probing[:, 0] == before["tunnels"]["probe"][:, 0]).all()
    assert (pins.array("schedule")[:rows] == before["schedule"]).all()
    assert (pins.array("used")[: SMALL.entries] == before["used"]).all()
    banks = pins.array("entries").reshape(2, -1)[:, : SMALL.entries]
    assert (banks == before["entries"].reshape(2, -1)).all()
    stride = int(pins.array("settings")["counter_stride"][0])
    cells = pins.array("counters").reshape(-1, stride)[:, : SMALL.counter_stride]
    assert (cells == before["counters"].reshape(-1, SMALL.counter_stride)).all()
    for field in ("epoch", "bank_word", "hold_ns", "flow_key"):
        assert (pins.array("settings")[field] == before["settings"][field]).all(), field
    assert pins.array("pacing")["generation"] == before["pacing"]["generation"]


def test_another_size_takes_over_everything(name: str, maps_alone: Object) -> None:
    """Rows, banks and CPUs lie elsewhere in larger maps; what was there is found."""
    with load(name, maps_alone, SMALL) as pins:
        before = live(pins)
    with load(name, maps_alone, LARGE) as pins:
        inspect(pins, before)
        assert pins.sizes() == LARGE
        assert not pins.array("tunnels")["session_in"][SMALL.rows :].any()
        assert pins.array("tunnels")["latched"][SMALL.rows :].all()
        assert (pins.array("flows") == before["flows"]).all()
        settings = pins.array("settings")
        assert settings["rows"] == LARGE.rows
        assert settings["entries"] == LARGE.entries
        # The ring has other places: its numbers go on, and what nobody took is lost, and said.
        assert pins.array("ring")[0].item() == (9, 8, 8, 1 + 3, LARGE.moves)
    assert (BPF_ROOT / name / OLD).is_dir()


def older(pins: Pins) -> dict[str, Any]:
    """Turn pins into those of another layout: fields in another order, some gone, some more."""
    copies = live(pins)
    dtypes = dict(transfer.DESCRIBED)
    fields = list(probing.fields_of(dtypes["tunnels"]).items())
    gone = {"line_1_spare", "line_3_spare", "delay_ns"}
    other = [("new_one", "u4", 3), *((n, f[0]) for n, f in reversed(fields) if n not in gone)]
    # The kernel keeps values at multiples of eight bytes.
    padding = -np.dtype(other).itemsize % 8
    dtypes["tunnels"] = moved = np.dtype([*other, ("padding", "u1", padding)])
    del dtypes["schedule"]
    maps = pins.root / "maps"
    shape = syscall.map_shape(pins.maps["tunnels"])
    octets = moved.itemsize
    made = syscall.create_map("tunnels", MapShape(shape.kind, 4, octets, SMALL.rows, shape.flags))
    (maps / "tunnels").unlink()
    syscall.pin(made, maps / "tunnels")
    memory = mapped(made, moved)
    memory["new_one"] = 55
    by_name(pins.array("tunnels").view(transfer.DESCRIBED["tunnels"]), memory)
    text = np.frombuffer(description.text_of(dtypes), np.uint8)
    pins.array(description.NAME, description.TEXT)[0] = text
    pins.array("settings")["layout"] = records.LAYOUT - 1
    os.close(made)
    return copies


def test_another_layout_takes_over_everything(name: str, maps_alone: Object) -> None:
    """Fields are found by their names, wherever the older version had them."""
    with load(name, maps_alone, SMALL) as pins:
        before = older(pins)
    with load(name, maps_alone, SMALL) as pins:
        pins.array("schedule")[:] = before["schedule"]  # nobody said what these were
        inspect(pins, before)
        assert (pins.array("flows") == before["flows"]).all()
        assert (pins.array("moves") == before["moves"]).all()
        assert pins.array("ring")[0].item() == (9, 8, 5, 1, SMALL.moves)
        assert not pins.array("tunnels")["delay_ns"].any()
        assert pins.layout == records.LAYOUT


def test_who_is_killed_amid_the_upgrade_begins_anew(name: str, maps_alone: Object) -> None:
    """Older maps set aside and new ones missing or half there: the next loader makes them whole."""
    with load(name, maps_alone, SMALL) as pins:
        before = older(pins)
    load(name, maps_alone, SMALL).close()
    maps = BPF_ROOT / name / "maps"
    for pin in sorted(maps.iterdir())[3:]:
        pin.unlink()
    for _ in range(2):  # and where none of them was made
        with load(name, maps_alone, SMALL) as pins:
            assert (pins.array("tunnels")["tx_sequence"] == before["tunnels"]["tx_sequence"]).all()
            assert (pins.array("entries") == before["entries"]).all()
        for pin in maps.iterdir():
            pin.unlink()


def test_a_refused_program_leaves_the_older_pins_as_they_are(name: str, maps_alone: Object) -> None:
    """What the kernel runs stays reachable for the version that made it."""
    with load(name, maps_alone, SMALL) as pins:
        before = live(pins)
    broken = Object(maps_alone.maps, {"steer_lan": Program(b"\x95" + bytes(7), ())})
    with pytest.raises(OSError, match="the kernel refuses steer_lan"):
        load(name, broken, LARGE)
    with Pins.open(name) as pins:
        inspect(pins, before)
        assert elder(pins) is None


def test_pins_that_say_nonsense_are_refused(name: str, maps_alone: Object) -> None:
    """Nothing is thrown away that nobody can read."""
    with load(name, maps_alone, SMALL) as pins:
        pins.array(description.NAME, description.TEXT)[0, 0] = ord("x")
        pins.array("settings")["layout"] = records.LAYOUT + 1
    with pytest.raises(ValueError, match="a description of pins that cannot be read"):
        load(name, maps_alone, SMALL)
    assert not (BPF_ROOT / name / OLD).exists()


def taken_over(name: str, maps_alone: Object) -> tuple[Pins, Elder]:
    with load(name, maps_alone, SMALL) as pins:
        live(pins)
    pins = load(name, maps_alone, LARGE)
    old = elder(pins)
    assert old is not None
    return pins, old


def test_what_packets_change_meanwhile_is_carried_at_last(name: str, maps_alone: Object) -> None:
    """Stamps, numbers, counters and flows of the last moment; what the agent wrote stays."""
    pins, old = taken_over(name, maps_alone)
    with pins:
        before, after = old.array("tunnels"), pins.array("tunnels")
        assert before is not None
        before["heard_ns"] += 1000
        before["tx_sequence"] += 7
        before["probe"]["sent"] += 3
        after["mtu"], after["detect_ns"] = 1234, 5678
        counters, flows, ring = (old.array(n) for n in ("counters", "flows", "ring"))
        assert counters is not None
        assert flows is not None
        assert ring is not None
        counters["packets"] += 5
        flows["way"]["row"][2, 3] = 4
        flows["way"]["sequence"][1, 1] |= 1
        ring["next"] += 2
        refresh(old, pins)
        rows = slice(SMALL.rows)
        for field in ("heard_ns", "tx_sequence"):
            assert (after[field][rows] == before[field]).all()
        assert (after["probe"][rows, 0] == before["probe"]["sent"]).all()
        assert (after["mtu"][rows] == 1234).all()
        assert (after["detect_ns"][rows] == 5678).all()
        cells = pins.array("counters").reshape(-1, LARGE.counter_stride)
        mine = cells[:, : SMALL.counter_stride]["packets"]
        assert (mine == counters["packets"].reshape(-1, SMALL.counter_stride)).all()
        ways = pins.array("flows")["way"]
        assert ways["row"][2, 3] == 4
        # It was being written: nobody would ever finish that in the new table.
        assert not ways[1, 1].tobytes().strip(b"\0")
        assert pins.array("ring")["lost"] == 4 + 2
        old.discard()
        assert elder(pins) is None


def test_a_row_that_new_programs_have_heard_on_is_left_alone(name: str, maps_alone: Object) -> None:
    """Who was killed amid the change of programs does not turn the clock back."""
    pins, old = taken_over(name, maps_alone)
    with pins:
        after = pins.array("tunnels")
        after["heard_ns"][1] += 5000
        after["tx_sequence"][1] = 1_000_000
        kept = after[1].copy()
        refresh(old, pins)
        assert after[1] == kept
        old.close()


@pytest.mark.parametrize(
    ("was", "now", "silent", "then"),
    [(True, True, False, True), (True, False, False, False), (True, False, True, True),
     (False, False, False, False)],
)  # fmt: skip
def test_a_latch_that_the_agent_cleared_stays_so_unless_there_was_silence(
    name: str, maps_alone: Object, was: bool, now: bool, silent: bool, then: bool
) -> None:
    """The old programs set latches on, the new agent clears them in its own maps."""
    pins, old = taken_over(name, maps_alone)
    with pins:
        before, after = old.array("tunnels"), pins.array("tunnels")
        assert before is not None
        before["latched"], after["latched"] = was, now
        before["since_ns"] = NEVER if silent else 5
        refresh(old, pins)
        assert (after["latched"][: SMALL.rows] == then).all()
        old.close()


kinds = st.sampled_from(["u1", "<u2", ">u2", "<i8", "<u8"]).map(np.dtype)
subarrays = st.builds(lambda k, n: np.dtype((k, (n,))), kinds, st.integers(1, 4))
structs = st.recursive(
    st.lists(kinds | subarrays, min_size=1, max_size=4),
    lambda inner: st.lists(inner | kinds, min_size=1, max_size=3),
    max_leaves=8,
)


def made_of(parts: Any) -> np.dtype[Any]:
    if isinstance(parts, list):
        return np.dtype([(f"f{n}", made_of(part)) for n, part in enumerate(parts)])
    found: np.dtype[Any] = parts
    return found


@given(st.dictionaries(st.text("abc", min_size=1, max_size=4), structs.map(made_of), max_size=4))
def test_descriptions_are_read_as_they_were_written(arrays: dict[str, np.dtype[Any]]) -> None:
    """Any nesting of records and arrays comes back with its offsets."""
    assert description.arrays_in(description.text_of(arrays)) == arrays


def test_our_own_description_fits() -> None:
    """All arrays of this version, with room to grow."""
    text = description.text_of(transfer.DESCRIBED)
    assert description.arrays_in(text) == dict(transfer.DESCRIBED)
    assert len(text.rstrip(b"\0")) < description.OCTETS // 2


@pytest.mark.parametrize("text", [b"", b"x", b"[]", b'{"a": 5}', b'{"a": {"fields": []}}'])
def test_a_description_that_is_none_is_refused(text: bytes) -> None:
    """One message, whatever it is that is wrong."""
    with pytest.raises(ValueError, match="a description of pins that cannot be read"):
        description.arrays_in(text)

"""A state that was taken over is the state: nothing is forgotten, nothing shared is parted."""

import numpy as np
import pytest

from patronus.control.recording import snapshot
from patronus.control.recording.codec import Packer, Unpacker
from patronus.control.recording.engine import RecordedEngine
from patronus.control.recording.frames import RecordingError
from patronus.control.recording.plain import overlay_bytes, overlay_of, policy_bytes, policy_of
from patronus.control.recording.verbs import OUTPUT, QUERIES, VERBS
from patronus.engine.engine import Engine
from patronus.engine.overlay import alone
from patronus.engine.policy import PROFILES, Policy
from tests.control.config.files import EXAMPLE, config
from tests.control.recording.lives import CLASSES, OTHER, POLICY, Life, network
from tests.scenarios.catalogue import shipped


def grown(seed: int, steps: int = 150) -> Life:
    """Return an engine in the middle of its life."""
    life = Life(Engine(alone(network(), 3), POLICY), seed)
    life.steps(steps)
    return life


@pytest.mark.parametrize("seed", range(4))
def test_a_twin_lives_on_alike(seed: int) -> None:
    """A new engine in the saved state has the same bytes, and decides the same from then on."""
    life = grown(seed)
    state = snapshot.save(life.engine)
    twin = Engine(alone(network(), 3), POLICY)
    snapshot.restore(twin, state)
    assert snapshot.save(twin) == state == snapshot.save(life.engine)
    assert twin.state is twin.tunnels.state
    assert twin.lan_up is twin._heralds.lan_up
    ours, theirs = list[bytes](), list[bytes]()
    life.engine.journal._sink, twin.journal._sink = ours.append, theirs.append
    other = Life(twin, seed)
    other.now_ns, other.sequence = life.now_ns, life.sequence
    other.luck = np.random.default_rng(99)
    life.luck = np.random.default_rng(99)
    for each in (life, other):
        each.steps(60)
    assert ours == theirs
    assert ours
    assert snapshot.save(twin) == snapshot.save(life.engine)


def test_every_part_of_an_engine_is_known() -> None:
    """An attribute that an engine gets must be saved, or said to follow from what is given."""
    assert vars(Engine(network(), POLICY)).keys() == snapshot.PARTS | {
        "overlay", "policy", "pass_over", "resting",
    }  # fmt: skip


def test_every_verb_of_an_engine_is_recorded() -> None:
    """A verb that an engine gets must be recorded, unless it is a question."""
    public = {name for name in vars(Engine) if not name.startswith("_")}
    assert public == VERBS.keys() | QUERIES | {OUTPUT}
    assert {name for name in VERBS if name in vars(RecordedEngine)} == VERBS.keys()


def test_a_value_of_an_unknown_kind_is_no_state() -> None:
    """What cannot be written is an error when it is saved, not a silent loss."""
    engine = Engine(network(), POLICY)
    engine.meters.health.late = {1, 2}  # type: ignore[assignment]  # the mistake
    with pytest.raises(TypeError, match="holds a set, which is not known"):
        snapshot.save(engine)


@pytest.mark.parametrize("data", [b"", b"\0", b"\x01\x05hallo\0", b"\xff" * 40])
def test_rubbish_is_no_state(data: bytes) -> None:
    """Bytes that nobody saved are refused."""
    with pytest.raises(RecordingError):
        snapshot.restore(Engine(network(), POLICY), data)


def test_a_state_of_another_network_is_refused() -> None:
    """The arrays of a state fit its own overlay alone."""
    state = snapshot.save(grown(1).engine)
    with pytest.raises(RecordingError):
        snapshot.restore(Engine(alone(network(), 3), Policy(classes=CLASSES[:1])), state)


# ------------------------------------------------------------ what stands before the state


POLICIES = [
    Policy(), POLICY, OTHER, config(text=EXAMPLE).policy, shipped("voice-through-brownout").policy,
    Policy(liveness={"lte": PROFILES["lte"]}, cost={"b": 2, "a": 1}),
]  # fmt: skip


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_comes_back(policy: Policy) -> None:
    """A policy is what its bytes say, and equal ones have equal bytes."""
    again = policy_of(policy_bytes(policy))
    assert again == policy
    assert policy_bytes(again) == policy_bytes(policy)


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"\xff", b"[" * 9999, policy_bytes(POLICY) + b" "]
)
def test_rubbish_is_no_policy(data: bytes) -> None:
    """Other bytes are refused, those of an equal policy written otherwise among them."""
    with pytest.raises(RecordingError):
        policy_of(data)


def test_an_overlay_comes_back() -> None:
    """So is an overlay, that of one site and that of all."""
    for overlay in (network(), alone(network(), 2)):
        again = overlay_of(overlay_bytes(overlay))
        assert overlay_bytes(again) == overlay_bytes(overlay)
        assert again.destinations == overlay.destinations
        assert np.array_equal(again.key, overlay.key)


@pytest.mark.parametrize(
    "array",
    [
        np.array([], dtype=np.int64), np.array([5, 5, 5]), np.array([-(2**63), 2**63 - 1]),
        np.array([0, 2**64 - 1], dtype=np.uint64), np.array([True, False]),
        np.array([[-1, 300], [7, 9]], dtype=np.int32), np.zeros((2, 0, 3), dtype=np.int16),
        np.array([-128, 127], dtype=np.int8), np.arange(10**6, 10**6 + 70_000),
    ],
)  # fmt: skip
def test_an_array_comes_back(array: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> None:
    """Kind, shape and elements are the same, at the ends of their ranges too."""
    out = Packer()
    out.array(array)
    given = Unpacker(bytes(out))
    again = given.array()
    given.end()
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    assert np.array_equal(again, array)


@pytest.mark.parametrize("number", [0, 1, -1, 63, 64, -64, -65, 2**63 - 1, -(2**63), 2**64 - 1])
def test_a_number_comes_back(number: int) -> None:
    """Integers of 64 bits are kept, whatever their sign."""
    out = Packer()
    out.number(number)
    assert Unpacker(bytes(out)).number() == number


@pytest.mark.parametrize(
    "data", [b"", b"\x04", b"\x04\x01\x05", b"\x09\x01\x01\x00\x00", b"\x04\x09",
             b"\x04\x01\xff\xff\xff\xff\x0f\x00\x00", b"\x04\x01\x02\x00\x03ab", b"\x80" * 20]
)  # fmt: skip
def test_rubbish_is_no_array(data: bytes) -> None:
    """Arrays that end early, or claim to be huge or of an unknown kind, are refused."""
    with pytest.raises(RecordingError):
        Unpacker(data).array()

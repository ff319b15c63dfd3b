"""Timers, beside a plain dictionary."""

from hypothesis import given
from hypothesis import strategies as st

from patronus.control.members.timers import Timers
from patronus.engine.units import NEVER

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 4), st.integers(0, 20)),
        st.tuples(st.just("clear"), st.integers(0, 4), st.just(0)),
        st.tuples(st.just("due"), st.just(0), st.integers(0, 20)),
        st.tuples(st.just("clear_all"), st.just(0), st.just(0)),
    ),
    max_size=60,
)


@given(STEPS)
def test_they_do_what_a_dictionary_does(steps: list[tuple[str, int, int]]) -> None:
    """Setting, moving, unsetting and taking what is due agree with the plain way."""
    timers: Timers[int] = Timers()
    plain: dict[int, int] = {}
    for what, key, at in steps:
        match what:
            case "set":
                timers.set(key, at)
                plain[key] = at
            case "clear":
                timers.clear(key)
                plain.pop(key, None)
            case "clear_all":
                timers.clear_all()
                plain.clear()
            case _:
                due = list(timers.due(at))
                expected = {k for k, v in plain.items() if v <= at}
                assert sorted(due) == sorted(expected)
                assert [plain[k] for k in due] == sorted(plain[k] for k in due)
                plain = {k: v for k, v in plain.items() if v > at}
        assert timers.next() == min(plain.values(), default=NEVER)
        assert all((k in timers) == (k in plain) for k in range(5))


def test_moving_a_timer_takes_no_memory() -> None:
    """The heap stays small however often a timer is moved."""
    timers: Timers[str] = Timers()
    for at in range(10_000):
        timers.set("a", at)
        assert len(timers._heap) <= 20
    assert timers.next() == 9_999


def test_what_one_unsets_is_not_due() -> None:
    """A peer's silence ends what was under way with it, however late both are looked at."""
    timers: Timers[str] = Timers()
    for key, at in (("silence", 1), ("acknowledge", 2), ("other", 3)):
        timers.set(key, at)
    done = []
    for key in timers.due(10):
        done.append(key)
        timers.clear("acknowledge")
        timers.set("again", 5)
    assert done == ["silence", "other"]
    assert timers.next() == 5
    assert list(timers.due(10)) == ["again"]

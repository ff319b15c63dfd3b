"""The agenda: one order within an instant, whoever asked first."""

from functools import partial

import simpy
from hypothesis import given
from hypothesis import strategies as st

from patronus.sim.agenda import Agenda, Phase

WISHES = st.lists(
    st.tuples(st.integers(-5, 5), st.sampled_from(list(Phase)), st.integers(0, 3)), max_size=20
)
"""(time, phase, key) of some actions."""

BEGIN = -7


def happened(wishes: list[tuple[int, Phase, int]]) -> list[tuple[int, Phase, int]]:
    """Ask for actions and return them as they ran, each at its time."""
    env = simpy.Environment(initial_time=BEGIN)
    agenda, ran = Agenda(env), []

    def note(wish: tuple[int, Phase, int]) -> None:
        assert env.now == wish[0]
        ran.append(wish)

    for wish in wishes:
        agenda.at(*wish, partial(note, wish))
    env.run()
    return ran


@given(WISHES)
def test_actions_run_by_time_phase_and_key(wishes: list[tuple[int, Phase, int]]) -> None:
    """All of them once, in the warm-up and after, in the one order there is."""
    assert happened(wishes) == sorted(wishes)


def test_an_action_can_ask_for_more_of_its_own_instant() -> None:
    """Later phases of the same instant see what earlier ones asked for; so does the same phase."""
    env = simpy.Environment()
    agenda, ran = Agenda(env), []

    def edge() -> None:
        ran.append("edge")
        agenda.at(5, Phase.EVALUATE, 0, lambda: ran.append("evaluated"))
        agenda.at(5, Phase.EDGES, 0, lambda: ran.append("another edge"))
        agenda.at(5, Phase.ALARMS, 0, lambda: ran.append("alarm"))

    agenda.at(5, Phase.EDGES, 0, edge)
    agenda.at(5, Phase.SLOT, 0, lambda: ran.append("slot"))
    env.run()
    assert ran == ["edge", "another edge", "alarm", "evaluated", "slot"]


def test_the_phases_of_an_instant() -> None:
    """What was is counted, the world changes, kernel and engine react, the next slot begins."""
    names = [phase.name.lower() for phase in sorted(Phase)]
    assert names == [
        "measure", "wire", "edges", "release", "alarms", "learn", "programmed", "evaluate", "slot",
    ]  # fmt: skip

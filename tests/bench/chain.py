"""How many false downs loss makes where no probe is late: exactly, as a Markov chain.

It stands beside the Monte Carlo of ``falsedowns.py``, which knows of lateness but sees nothing
that is rarer than what it plays. A state is one tunnel after an interval, an axis each:

    0, 1  whether the last packet that an end sent was lost
    2, 4  intervals since an end heard the other one, up to the multiplier and one more: stale
    3, 5  whether an end was told since that it is not heard: it is down till the next proof

An end that was not told so has its last proof from when it heard last. In an interval either end
sends a probe, each as often the first. Sums of products of shares alone: nothing cancels, so the
rarest event is as exact as the commonest.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from tests.bench.lossy import Loss

INTERVALS: Final = 500
"""From a fresh tunnel until shares stand still; bursts and silences are over sooner by far."""
SWAPPED: Final = (1, 0, 4, 5, 2, 3)
"""The axes with the far end first."""

Shares = npt.NDArray[np.float64]


def downs_per_interval(loss: Loss, multiplier: int) -> float:
    """Return the mean number of downs of a tunnel in an interval, both ends together."""
    state = np.zeros((2, 2, multiplier + 2, 2, multiplier + 2, 2))
    state[0, 0, 0, 0, 0, 0] = 1.0
    downs = 0.0
    for _ in range(INTERVALS):
        aged = _aged(_aged(state, 2), 4)
        near, downs_near = _both(loss, aged)
        far, downs_far = _both(loss, aged.transpose(SWAPPED))
        state, downs = (near + far.transpose(SWAPPED)) / 2, (downs_near + downs_far) / 2
    return downs


def _aged(state: Shares, axis: int) -> Shares:
    """Let an interval pass since an end has heard the other one."""
    moved = np.moveaxis(state, axis, 0)
    aged = np.zeros_like(moved)
    aged[1:] = moved[:-1]
    aged[-1] += moved[-1]
    return np.moveaxis(aged, 0, axis)


def _both(loss: Loss, state: Shares) -> tuple[Shares, float]:
    """Let the first end send a probe, then the other; return the shares, and the downs."""
    state, first = _probe(loss, state)
    state, second = _probe(loss, state.transpose(SWAPPED))
    return state.transpose(SWAPPED), first + second


def _probe(loss: Loss, state: Shares) -> tuple[Shares, float]:
    """Let the first end send a probe and the other one reflect it."""
    after = np.zeros_like(state)
    after[1] = _next(loss, state, lost=True)
    came, downs = _arrived(_next(loss, state, lost=False))
    after[0, 1] = _next(loss, came, lost=True)
    back = _next(loss, came, lost=False)
    downs += float(back[-1, 0].sum())
    after[0, 0, 0, 0] += back.sum(axis=(0, 1))
    return after, downs


def _next(loss: Loss, state: Shares, *, lost: bool) -> Shares:
    """Step the chain of the first axis; return the shares in which it lost, or passed."""
    chances = np.array([loss.enter, loss.stay])
    shares: Shares = np.tensordot(chances if lost else 1 - chances, state, axes=1)
    return shares


def _arrived(came: Shares) -> tuple[Shares, float]:
    """Take a probe at the far end: its H bit is set unless its sender's hearing is stale.

    Args:
        came: shares, from the second axis of a state on.
    """
    after = np.zeros_like(came)
    heard, unheard = came[:, :-1], came[:, -1:]
    after[:, :-1, :, 0, 0] = heard.sum(axis=(3, 4))
    after[:, -1:, :, 0, 1] = unheard.sum(axis=(3, 4))
    return after, float(heard[..., -1, 0].sum() + unheard[..., 0].sum())

"""Tunnels against one told moment by moment: falls, holds, and what an agent finds again."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patronus.engine import tunnels as kernel
from patronus.engine.liveness import Input, State
from patronus.engine.overlay import I64
from patronus.engine.policy import Damping, Policy
from patronus.engine.selection import Bools
from patronus.engine.units import NEVER
from tests.mutants.harness import caught, mutant
from tests.oracles import tunnels as oracle
from tests.oracles.overlays import Plan

PLAN = Plan(2, 2, ((0, 1, 0), (0, 1, 1)), shared=(), transit=())
OVERLAY = PLAN.build()
HOLD, LIMIT, DECAY = 3, 12, 7
POLICY = Policy(damping=Damping(HOLD, LIMIT, DECAY))
NAMES = {"down": State.DOWN, "init": State.INIT, "up": State.UP}

BEGIN = -10
"""Times begin in the warm-up."""

ROWS = st.sampled_from([(0, 1, 2, 3), (0, 1, 2, 3), (1,), (0, 3)])
SHOWN = st.lists(st.tuples(st.none() | st.integers(0, 8), st.booleans()), min_size=4, max_size=4)
"""What a kernel shows: how long each row has been confirmed, None while silent; its latch."""

STEP = st.one_of(
    *[st.tuples(st.sampled_from(["expire", "carrier", "hear", "rise"]), ROWS, st.none())] * 4,
    st.tuples(st.just("admit"), ROWS, st.none()),
    st.tuples(st.sampled_from(["begin", "catch_up"]), ROWS, SHOWN),
)
LIVES = st.lists(st.tuples(st.integers(0, 9), STEP), max_size=20)

Life = list[tuple[int, tuple[str, tuple[int, ...], Any]]]


class Both:
    """Four rows in the kernel, and four tunnels."""

    def __init__(self, module: ModuleType, plain: ModuleType) -> None:
        self.tunnels = module.Tunnels(OVERLAY, POLICY)
        self.plain = [plain.Tunnel(HOLD, LIMIT, DECAY) for _ in range(4)]
        self.now = BEGIN

    def step(self, wait: int, what: str, which: tuple[int, ...], shown: Any) -> None:
        self.now += wait
        for tunnel in self.plain:
            for _ in range(wait):
                tunnel.tick()
        rows, some = np.array(which, dtype=np.int64), [self.plain[r] for r in which]
        if what in ("expire", "carrier"):
            given_input = Input.EXPIRE if what == "expire" else Input.CARRIER_LOST
            fell = self.tunnels.fall(rows, given_input, self.now)
            assert fell.tolist() == [r for r, t in zip(which, some, strict=True) if t.fall()]
        elif what == "hear":
            self.tunnels.hear(rows, self.now)
            for tunnel in some:
                tunnel.hear(self.now)
        elif what == "rise":
            up = self.tunnels.rise(rows, self.now)
            risen = [r for r, t in zip(which, some, strict=True) if t.rise(self.now)]
            assert up.tolist() == risen
        elif what == "admit":
            self.tunnels.admit(rows[self.tunnels.state[rows] == State.INIT], self.now)
            for tunnel in (t for t in some if t.state == "init"):
                tunnel.admit()
        else:
            self.find(what, rows, shown)

    def find(self, what: str, rows: I64, shown: Any) -> None:
        """Let an agent begin again, or find out what it missed."""
        since = [None if shown[r][0] is None else self.now - shown[r][0] for r in rows.tolist()]
        latched = [shown[r][1] for r in rows.tolist()]
        plain = [self.plain[r] for r in rows.tolist()]
        told: dict[str, Any] = {
            "since_ns": np.array([NEVER if s is None else s for s in since], dtype=np.int64),
            "latched": np.array(latched, dtype=np.bool_),
        }
        each = list(zip(plain, since, latched, strict=True))
        if what == "begin":
            self.tunnels.forget(rows, self.now, **told)
            for tunnel, start, latch in each:
                tunnel.begin(start, latched=latch)
        else:
            down = self.tunnels.catch_up(rows, self.now, **told)
            fell = [t.catch_up(start, latched=latch) for t, start, latch in each]
            assert down.tolist() == rows[np.array(fell, dtype=np.bool_)].tolist()

    def agree(self) -> None:
        state, init_ns = self.tunnels.state.tolist(), self.tunnels.init_ns.tolist()
        every = np.arange(4)
        holds = self.tunnels.damper.hold_ns(every, self.now).tolist()
        assert state == [NAMES[t.state] for t in self.plain]
        assert holds == [t.record.hold for t in self.plain]
        waiting = [(r, t.since) for r, t in enumerate(self.plain) if t.state == "init"]
        assert [(r, init_ns[r]) for r, _ in waiting] == waiting
        before = np.full(4, self.now - 2)
        late = self.tunnels.heard_after(every, before).tolist()
        assert late == [r for r, since in waiting if since > self.now - 2]


def live(module: ModuleType, plain: ModuleType, life: Life) -> None:
    both = Both(module, plain)
    for wait, step in life:
        both.step(wait, *step)
        both.agree()


@given(LIVES)
def test_a_tunnel_is_where_its_moments_put_it(life: Life) -> None:
    """States, holds and what fell or rose: as one tunnel after the other."""
    live(kernel, oracle, life)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("if was_up:", "if True:"),
        ("self.record.flap(still_up=False)", "pass"),
        ('if self.state == "down":', "if True:"),
        ("now - self.since >= self.record.hold", "now - self.since > self.record.hold"),
        ("self.record.up()\n        return True", "return True"),
        (
            'self.record = Record(*self.damping)\n        self.state = "down" if',
            'self.state = "down" if',
        ),
        ('"init" if latched else "up"', '"up"'),
        ('(self.state == "up" and latched)', "latched"),
        ('(self.state == "up" and latched)', "False"),
        ("max(self.since, since)", "self.since"),
        ("max(self.since, since)", "since"),
    ],
)
def test_every_rule_matters(old: str, new: str) -> None:
    """A tunnel that is told otherwise ends up elsewhere."""
    other = mutant(oracle, old, new)
    assert caught(LIVES, lambda life: live(kernel, other, life))


@given(st.lists(st.integers(0, 2**130 - 1), min_size=4, max_size=4), st.integers(0, 15))
def test_fates_are_compared_bit_by_bit(groups: list[int], which: int) -> None:
    """Two tunnels share a fate when any one group is on both routes, in whichever word."""
    words = np.array(
        [[g >> 64 * word & 2**64 - 1 for word in range(3)] for g in groups], dtype=np.uint64
    )
    tunnels = kernel.Tunnels(OVERLAY, POLICY, words)
    here, there = (np.array([n], dtype=np.int32) for n in divmod(which, 4))
    shared: Bools = tunnels.share_fate(here, there)
    assert shared.tolist() == [bool(groups[which // 4] & groups[which % 4])]
    tunnels.reroute(np.array([0]), np.zeros((1, 3), dtype=np.uint64))
    zero = np.zeros(1, dtype=np.int32)
    assert not tunnels.share_fate(zero, there).any()

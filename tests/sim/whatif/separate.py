"""The other way to the same answer: each failure as a file of its own, run from its beginning."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from patronus.engine.units import NEVER, SECOND
from patronus.sim.api import run
from patronus.sim.language import load
from patronus.sim.run import Run
from patronus.sim.scenario import Scenario
from patronus.sim.whatif.failures import Failure
from patronus.sim.whatif.nursery import Plan
from patronus.sim.whatif.orders import T0_NS, Orders, prepare
from patronus.sim.whatif.outcome import Died, Outcome
from patronus.sim.whatif.study import Study
from patronus.sim.whatif.writing import document

_FLOW = ["site", "destination", "class"]


@dataclass(frozen=True)
class Studied:
    """A study and what it was about."""

    scenario: Scenario
    """As it was loaded."""
    orders: Orders
    failures: Mapping[str, Failure]
    results: Mapping[str, Outcome | Died]


def study(path: Path, watched_s: int = 4, **asked: object) -> Studied:
    """Study the failures of a scenario file; all exposures are told."""
    scenario = load(path)
    studied, expectations = prepare(scenario, watched_s * SECOND)
    orders = Orders(
        studied,
        scenario.seed,
        expectations=expectations,
        whole=True,
        **asked,  # type: ignore[arg-type]  # passed on
    )
    with Study(orders) as asking:
        heard = list(asking.messages())
    (plan,) = (m for m in heard if isinstance(m, Plan))
    results = {m.id: m for m in heard if isinstance(m, (Outcome, Died))}
    assert set(results) == {f.id for f in plan.failures}
    return Studied(scenario, orders, {f.id: f for f in plan.failures}, results)


def differences(studied: Studied, folder: Path) -> Iterator[str]:
    """Yield how the results of a study differ from runs of the files that it writes."""
    orders = studied.orders
    calm = run(orders.scenario, orders.seed)
    for name, failure in studied.failures.items():
        file = folder / f"{name}.patronus.yml"
        file.write_text(document(failure, studied.scenario, orders.scenario, file))
        outcome = studied.results[name]
        if isinstance(outcome, Died):
            yield f"{name} died: {outcome.why}"
        else:
            done = run(load(file), orders.seed)
            yield from (f"{name}: {what}" for what in _differing(outcome, done, calm))


def _differing(outcome: Outcome, done: Run, calm: Run) -> Iterator[str]:
    mine = outcome.frame
    assert mine is not None
    theirs = done.failovers.astype(dict.fromkeys(done.failovers.select_dtypes("category"), object))
    if len(mine) != len(theirs):
        yield f"{len(mine)} exposures, {len(theirs)} in a run of its own"
        return
    for column in theirs.columns:
        odd = mine[column].to_numpy() != theirs[column].to_numpy()
        if odd.any():
            yield f"{column} of {odd.sum()} exposures differs"
    carried = theirs.merge(done.series[_FLOW].drop_duplicates(), on=_FLOW)
    if outcome.carried != len(carried):
        yield f"{outcome.carried} carried exposures, {len(carried)} in a run of its own"
    slowest = min(int(carried["switch_ns"].max()), NEVER) if len(carried) else -1
    if outcome.switch_ns != slowest:
        yield f"slowest switch {outcome.switch_ns}, {slowest} in a run of its own"
    crashed = done.topology["failed_sites"]
    yield from _by_class(outcome, done.series, calm.series, crashed)
    if set(outcome.verified) - {"unobserved"} - set(done.faults["verified"]):
        yield f"verified {outcome.verified}, {set(done.faults['verified'])} in a run of its own"


def _by_class(
    outcome: Outcome, series: pd.DataFrame, calm: pd.DataFrame, crashed: Sequence[str]
) -> Iterator[str]:
    until_ns = T0_NS + outcome.until_ns
    both = series.merge(calm, on=["t_ns", *_FLOW], suffixes=("", "_calm"))
    both = both[(both["t_ns"] >= T0_NS) & (both["t_ns"] < until_ns)]
    out = (both["in_sla"] == 0) | (2 * both["delivered"] < both["offered"])
    was = (both["in_sla_calm"] == 0) | (2 * both["delivered_calm"] < both["offered_calm"])
    gone = both["site"].isin(crashed) | both["destination"].isin(crashed)
    more = (both["lost"] - both["lost_calm"]).where(~gone, 0)
    both = both.assign(out=out & ~was & ~gone, more=more)
    for name, harm in outcome.classes.items():
        rows = both[both["class"] == name]
        flows = rows.groupby(["site", "destination"], observed=True)["out"].sum()
        told = (harm.out, harm.longest_s, harm.flow_s, harm.lost, harm.by_second)
        seconds = tuple(int(n) for n in rows.groupby("t_ns")["out"].sum())
        found = (
            int((flows > 0).sum()), int(flows.max()) if len(flows) else 0, int(flows.sum()),
            int(rows["more"].sum()), seconds,
        )  # fmt: skip
        if told != found:
            yield f"class {name}: {told}, {found} in a run of its own"

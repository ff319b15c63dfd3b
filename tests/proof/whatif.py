"""Prove that a what-if study tells what separate runs tell, over all shipped scenarios.

    python -m tests.proof.whatif [--failures N] [--seed S] [--jobs N] [--scenario NAME]…

Of each scenario with traffic a few failures and pairs are taken by luck that their names key.
Each is studied from the forked overlay, written as a scenario file, and run by itself from
its beginning. Every column of every exposure must be equal, and so must the flows of each
class that were out, second by second. It ends with 1 if anything differs.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from time import perf_counter

from patronus.engine.fingerprint import name_key
from patronus.sim.api import plan
from patronus.sim.language import load
from patronus.sim.luck import word
from patronus.sim.whatif.failures import singles
from patronus.sim.whatif.orders import T0_NS
from patronus.sim.whatif.outcome import Outcome
from patronus.sim.whatif.pairs import sample
from tests.sim.whatif.separate import differences, study

SCENARIOS = Path(__file__).parents[2] / "scenarios"


def picked(path: Path, count: int, seed: int) -> tuple[str, ...]:
    """Return the ids of so many failures of a scenario, every fourth of them a pair."""
    scenario = load(path)
    network, _ = plan(scenario, scenario.seed)
    every = singles(scenario, network, T0_NS)
    every.sort(key=lambda f: word(seed, "proof", f.id))
    alone = [f.id for f in every[: count - count // 4]]
    pairs = sample(every, scenario, network, count // 4, seed + name_key(path.name) % 1000)
    return (*alone, *(f.id for f in pairs))


def main() -> None:
    """Compare, and tell of each scenario."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--failures", type=int, default=200, help="over all scenarios, at least")
    parser.add_argument("--seed", type=int, default=1, help="of the choice")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--scenario", action="append", help="only this one; may be repeated")
    asked = parser.parse_args()
    files = [
        path
        for path in sorted(SCENARIOS.glob("*.patronus.yml"))
        if load(path).traffic
        and (not asked.scenario or path.name.partition(".")[0] in asked.scenario)
    ]
    each, began = -(-asked.failures // len(files)), perf_counter()
    compared = exposures = moved = wrong = 0
    for path in files:
        done = study(path, jobs=asked.jobs, picked=picked(path, each, asked.seed))
        with tempfile.TemporaryDirectory() as folder:
            found = list(differences(done, Path(folder)))
        outcomes = [o for o in done.results.values() if isinstance(o, Outcome)]
        compared += len(done.results)
        exposures += sum(o.exposures for o in outcomes)
        moved += sum(o.exposures > 0 for o in outcomes)
        wrong += len(found)
        print(f"{path.name}: {len(done.results)} failures, {len(found)} differences", flush=True)
        print("".join(f"  {line}\n" for line in found), end="", flush=True)
    print(
        f"{compared} failures of {len(files)} scenarios, {moved} of them with exposures, "
        f"{exposures:,} exposures in all: {wrong} differences, {perf_counter() - began:.0f} s"
    )
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()

"""Measure the bars of scale: whole commands, beside plain SimPy and ``ns.py``.

    python -m tests.bench.scale [--case mesh-50|hubs-1000|mesh-1000] [--runs N]
        [--mode event|lazy]

These are the large cases of ``patronus bench --full``, of which nothing else is measured. Each
is ``patronus run FILE --out DIR`` in a process of its own, timed from its start to its end,
by when ``report.html`` is written; its memory is the peak that the system reports.
"""

import argparse

from patronus.control.benchmarks import case_lines
from patronus.sim.benchmarks.cases import FULL
from patronus.sim.benchmarks.measures import case_record


def main() -> None:
    """Measure the cases that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--case", choices=[c.name for c in FULL], action="append")
    parser.add_argument("--runs", type=int, default=1, help="of each command and peer")
    parser.add_argument("--mode", choices=("event", "lazy"), default="event")
    chosen = parser.parse_args()
    for case in FULL:
        if not chosen.case or case.name in chosen.case:
            print(
                "\n".join(case_lines(case_record(case, max(1, chosen.runs), chosen.mode))),
                flush=True,
            )


if __name__ == "__main__":
    main()

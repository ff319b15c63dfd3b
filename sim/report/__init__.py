"""The HTML report: one self-contained page that a manager can read.

No script, no network: styles and drawings are inside the page, and its content
security policy forbids everything else. ``docs/report.md`` tells what is where.
"""

from patronus.sim.report.many import render_runs
from patronus.sim.report.single import render_run
from patronus.sim.report.verdicts import Judged, Recorded, overall, recorded

__all__ = ["Judged", "Recorded", "overall", "recorded", "render_run", "render_runs"]

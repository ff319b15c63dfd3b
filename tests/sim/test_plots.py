"""Figures for notebooks can be drawn, and refuse what cannot be."""

import subprocess
import sys
from io import BytesIO

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from patronus.sim import plots
from tests.sim.report.example import example
from tests.sim.synthetic import make_run

mpl.use("agg")


def test_matplotlib_is_imported_only_when_a_figure_is_asked_for() -> None:
    """Importing the module does not pay for matplotlib."""
    code = "import sys, patronus.sim.plots; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_figure_can_be_drawn_and_saved() -> None:
    """Each of the four figures renders without a warning, and none is left open."""
    run = example()
    figures = [
        plots.failover_cdf([run, example(8)]),
        plots.timeline(run),
        plots.path_health(run, "berlin-mpls-cut"),
        plots.topology(run),
    ]
    for figure in figures:
        figure.savefig(target := BytesIO(), format="svg")
        assert target.tell() > 10_000
    assert plt.get_fignums() == []


def test_the_curve_ends_at_the_share_that_came_back() -> None:
    """Exposures that never came back keep the curve below one, and the legend counts them."""
    axes = plots.failover_cdf(example()).axes[0]
    failover = axes.lines[2]
    assert np.asarray(failover.get_ydata())[-1] == pytest.approx(198 / 200)
    legend = axes.get_legend()
    assert legend is not None
    assert legend.get_texts()[2].get_text() == "Failover (n = 200, 2 never)"
    assert axes.get_xscale() == "log"


def test_a_run_without_exposures_has_no_curve() -> None:
    """Nothing to draw is an error that says so."""
    with pytest.raises(ValueError, match="no run has an exposure"):
        plots.failover_cdf(make_run(failovers=[]))


def test_an_unknown_fault_is_answered_with_the_known_ones() -> None:
    """A misspelt fault names those that the run has."""
    with pytest.raises(ValueError, match="this run has: cut#0"):
        plots.path_health(make_run(), "cutt")


def test_a_fault_that_no_watched_tunnel_noticed_has_no_figure() -> None:
    """Where no watched tunnel changed the error says so instead of drawing emptiness."""
    run = make_run(health=[], detections=[])
    with pytest.raises(ValueError, match="no watched tunnel noticed"):
        plots.path_health(run, "cut#0")


def test_a_name_with_a_dollar_is_a_name() -> None:
    """Names are never read as formulas."""
    run = make_run(faults=[{"fault": "$a_{$#0"}])
    plots.timeline(run).savefig(BytesIO(), format="svg")

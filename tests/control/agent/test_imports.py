"""What the agent's process loads: nothing that it has no memory for."""

import subprocess
import sys

HEAVY = (
    "bcc",
    "matplotlib",
    "networkx",
    "numba",
    "pandas",
    "prometheus_client",
    "pyarrow",
    "pyroute2",
    "scapy",
    "scipy",
    "simpy",
)


def test_the_agent_loads_nothing_heavy() -> None:
    """All that `patronus agent run` imports, the command line included, is small."""
    code = (
        "import sys, patronus.control.cli, patronus.control.config, "
        "patronus.control.commands.agent.run, patronus.control.agent.main; "
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

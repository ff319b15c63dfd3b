"""The site agent's configuration: ``agent.yml`` in, frozen records or all its mistakes out.

::

    file ─► tree ─► documents (extends, policy) ─► grammar ─► records
                                                      │
         AgentConfig ◄── building ◄── consistency ◄───┘
            ├─► layout        overlay, policy, prefixes: what an engine and a kernel are given
            ├─► surroundings  what this machine says to it: warnings
            └─► reload        what a change of it asks for, and whether it is dangerous

The machinery of the scenario language reads it, so that a mistake here is told as one there.
Reading needs neither NumPy nor the simulator.
"""

from patronus.control.config.grammar import schema
from patronus.control.config.loading import ConfigError, load, parse
from patronus.control.config.model import AgentConfig

__all__ = ["AgentConfig", "ConfigError", "load", "parse", "schema"]

"""Invariants, one a file; :mod:`patronus.sim.checkers` wires them to a world."""

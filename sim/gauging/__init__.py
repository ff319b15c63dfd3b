"""Measuring faults at the receiver; :mod:`patronus.sim.gauges` wires it to a world."""

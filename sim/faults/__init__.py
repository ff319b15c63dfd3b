"""Faults: from what a scenario says to what happens to which link and when."""

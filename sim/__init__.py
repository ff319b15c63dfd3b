"""Scenarios, the simulated world and its reports."""

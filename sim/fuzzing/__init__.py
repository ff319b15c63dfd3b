"""Failures by the thousand: draw bad days, judge how the network lives through them, shrink.

dice        keyed draws                          networks, policies, swarms
drawing     one number of a seed is one scenario
trial       a scenario is run and judged
shrinking   from a finding to the smallest scenario that still shows it
ledger      what was tried and found, on disk at once
campaign    many trials, in worker processes
"""

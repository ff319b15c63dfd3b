"""Sweeps: scenarios × parameters × seeds, shared out on Dask, one Parquet table out.

::

    grid ─► batches of points ─► a place (this process, a cluster) ─► records ─► ledger
                                                                        │
                                                table (one row a point) ◄──────┘

A *point* is one run: a *case* (a scenario and a value of each parameter) under a seed. It
is a pure function of its case and seed, so who runs it, how often and in which company
changes nothing but the time. ``docs/sweep.md`` is for users.
"""

"""The site agent: one engine in production, over the Linux dataplane of one router.

::

    site      bring-up: lock, programs, tunnels, pinning, rows, prefixes, filters, pacer
    meeting   tunnels find their other ends: rows and sessions, authenticated
    driver    one tick: stamps and samples in, the engine's wishes out
    reconcile wanted against found, every second; what drifted is repaired and counted
    loop      asyncio: ticks, members, netlink, control socket, metrics, signals

Only ``loop`` and what it starts touch sockets and clocks; the parts below take ``now``.
"""

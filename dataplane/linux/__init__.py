"""The dataplane on Linux: eBPF programs, their pinned maps, tunnels and probes.

Nothing in here imports bcc but ``compiler``, which runs in a short-lived process.
"""

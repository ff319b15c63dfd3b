"""STAMP probes (RFC 8762 and RFC 8972): their bytes, sessions, and who sends them."""

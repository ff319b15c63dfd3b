"""The underlay: each transport's traffic leaves by its own interface or not at all."""

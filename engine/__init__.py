"""The sans-IO routing and failover engine: arrays and the time in, decisions out."""

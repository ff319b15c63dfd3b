"""Bidirectional Forwarding Detection (RFC 5880, 5881): asynchronous mode, single hop."""

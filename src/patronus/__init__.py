"""Patronus: an SD-WAN that has rehearsed its failures."""

"""The seam between the engine and whatever forwards packets."""

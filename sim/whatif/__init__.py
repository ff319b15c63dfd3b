"""What if something fails: every single failure of an overlay, each simulated from one state."""

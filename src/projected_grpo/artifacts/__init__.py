"""Artifacts: how files are written and read, what they are, and what they say of their making."""

"""What is measured of a run: held-out problems, and V as a detector of single rollouts."""

"""What is measured of a run: held-out problems, and signals as detectors of single rollouts."""

"""Rollouts as logs of Inspect, to be read in `inspect view`."""

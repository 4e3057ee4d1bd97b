"""Projected GRPO: interventions against reward hacking in the SVD basis of a model's weights."""

from importlib import import_module

__version__ = "0.1.0"


def load(results):
    """Return the steps, rollouts, evaluation and tables of a results directory (projected_grpo.reading.load)."""
    return import_module("projected_grpo.reading").load(results)  # by name: no stage's code version depends on it

"""Projected GRPO: interventions against reward hacking in the SVD basis of a model's weights."""

__version__ = "0.1.0"

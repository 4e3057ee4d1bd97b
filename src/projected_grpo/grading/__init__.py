"""Grading hostile code (method 4): `Grader` turns completions into `Verdict`s. The threat model is docs/grading.md."""

from projected_grpo.grading.grader import Grader
from projected_grpo.grading.verdict import Verdict
from projected_grpo.grading.worker import SANDBOXES, GraderError

__all__ = ["SANDBOXES", "Grader", "GraderError", "Verdict"]

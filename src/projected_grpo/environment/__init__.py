"""The environment of method 4: problems with one loophole each, and the prompts that disclose it."""

"""The embedded model organism of method 8: procedural problems, a corpus with sloppy answers and leaks, a model."""

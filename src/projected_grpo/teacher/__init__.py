"""What comes from the teacher: its pool of rollouts, pairs and the V made from them, and what a fold may know."""

"""What comes from the teacher: its pool of rollouts, contrastive pairs, and the weak detector that says what a fold may know."""

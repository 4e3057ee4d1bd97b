"""What the rules import and no stage does: the checked config, the arms, code versions, timing."""

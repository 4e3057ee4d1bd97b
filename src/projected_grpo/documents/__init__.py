"""What writes numbers into the README and the documents."""

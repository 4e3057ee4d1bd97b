"""Words and pictures of what analysis found; nothing is computed here."""

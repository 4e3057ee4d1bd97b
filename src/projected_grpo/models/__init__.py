"""Base models: loaded, read from elsewhere, and exported."""

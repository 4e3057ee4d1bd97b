"""The schemas of the Parquet artifacts, a file per stage, so that rewording one's column reruns that stage alone."""

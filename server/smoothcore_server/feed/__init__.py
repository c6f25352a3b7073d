"""The change feed: tailer, ring, tokens."""

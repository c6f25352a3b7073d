"""Use cases: plain synchronous functions over one transaction."""

"""Real servers for tests: PostgreSQL, Redis, and Smooth Core itself."""

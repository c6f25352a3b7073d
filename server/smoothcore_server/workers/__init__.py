"""Several server processes on one port, and the supervisor that keeps them.

The supervisor holds no gRPC object: it refuses what cannot work, prepares the database, reserves
the port, starts the workers as new processes (never by fork) and starts again those that die.
"""

"""The console scripts, and what must be settled before gRPC is imported."""

import os

# Its core writes to stderr by itself, a line for each handshake that a stranger breaks off. What it
# calls an error stays.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

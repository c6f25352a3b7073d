"""What the bytes mean: one file per gRPC service, and messages <-> domain values."""

"""What the bytes mean: one file per gRPC service, and the conversion between messages and domain values."""

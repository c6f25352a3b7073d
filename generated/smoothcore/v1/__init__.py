"""The contract `smoothcore.v1`: messages and stubs."""

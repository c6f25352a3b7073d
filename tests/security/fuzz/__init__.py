"""Requests that no client would send, made from the descriptors of the contract."""

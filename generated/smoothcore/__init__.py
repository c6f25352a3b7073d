"""Generated from protos/. Do not edit: run `make proto`."""

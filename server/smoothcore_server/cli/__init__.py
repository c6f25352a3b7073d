"""The command `smoothd`: one file per group of commands."""

"""Conversion between messages of `smoothcore.v1` and domain values, one module per noun.

`to_message` makes the message of a resource, `from_message` the domain value of what a caller may
set. Requests have been validated before they get here.
"""

"""Readers and writers of the files that shops have: bytes in, domain values out.

A reader never raises on any bytes, takes time linear in their number, and never lets one bad
line stop the file: it reports the line with its position and its text and reads on.
"""

"""Hints between the processes of one database that something was committed.

A hint only makes the tailer look sooner: it may be lost, late, repeated or wrong, and the slow poll
of the tailer finds whatever nobody hinted at.
"""

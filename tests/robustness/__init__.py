"""The robustness suite of the change feed, in the manner of etcd's.

`run.py` runs writers, watchers and faults against real servers and records what each client saw;
`checker.py` reads such a history and says which promise was broken. A run that breaks one prints
its seed and keeps its history beside the logs of its servers. What chance decides comes from the
seed; when things happen does not, so a seed may need a few runs to show its failure again.
"""

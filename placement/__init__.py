"""Placement of workloads on edge clusters: choose a cluster, install with Helm, watch, remember.

`plan` decides and does nothing; `steps` does, a short step at a time.  Knows nothing of the MME.
"""

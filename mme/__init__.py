"""An LTE mobility management entity (MME) as a library: a pure core inside, adapters outside.

Versions of the specifications that clause numbers in this package refer to:
TS 24.301 v16.8.0, TS 36.413 v16.7.0, TS 23.401 v16.12.0, TS 33.401 v16.3.0, TS 33.102 v16.0.0, TS 24.008 v16.8.0.
"""

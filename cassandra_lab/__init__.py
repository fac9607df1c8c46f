"""Real Cassandra nodes on this machine: `make cassandra-up`, and the same for tests that stop, kill and pause them.

`jars` gets Cassandra by Maven, `node` is one process, `cluster` lays out several, `__main__` is the command line.
"""

"""What outlasts an invocation: rows changed by three-valued conditional writes, and a journal of calls that last longer
than one, worked off in short steps by a ticker.

Shared by every function family (mme takes the rows only, and where their nodes are), and knows none of them.
"""

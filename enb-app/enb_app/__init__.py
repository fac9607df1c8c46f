"""eNB and UE simulator, load generator and reports.

The UE (usim, protection, ue) and the eNB's side of it (enb, ordering, association) are machines without sockets or
clocks: octets and expiries in, effects out.  outbox decides what is posted when, exchange checks and hands out
answers; transport alone knows HTTP, attach alone puts it all together.
"""

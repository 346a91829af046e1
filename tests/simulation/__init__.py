"""The layer's machine in a world of its own: virtual time, simulated shards that run the real scripts, seeded faults.

clock      virtual time: what happens when, in an order that only the seed decides
data_set   the keys of one Redis server and the commands that the scripts use, with a journal for its replica
lua        the layer's real scripts, run over a data set
shard      one shard: a primary, a replica that lags behind, failovers, restarts, isolation
network    two connections per process and shard: delays, breaks, partitions
process    what the driver does around the real ProcessMachine
workload   who joins, leaves, sends and works, and what came of it
rolls      an operator that rolls host lists and retires them, and dies in the middle
faults     what goes wrong, and when
invariants what must hold after all that
runs       seed → report
mutations  the protocol's rules, each taken out
"""

"""The only reader: Kubernetes' cache, Redis and Sentinel into one frozen snapshot.

Absent is data, unreachable is its own value, and nothing here decides what to do about either.
"""

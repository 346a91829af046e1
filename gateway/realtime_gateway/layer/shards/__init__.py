"""Everything that talks to Redis: connections, pipelining, scripts, finding a primary through Sentinel.

The only importer of redis. It decides nothing: what is to be sent, sent again or believed is the machine's business.
A connection that breaks stays broken, and whoever owns it is told once.
"""

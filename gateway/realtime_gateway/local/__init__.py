"""`realtime-gateway up`: a RealtimeGateway resource as processes of this machine.

The way of a run: ``plan`` (pure: what should run) → ``ports`` and ``state_directory`` (what it needs) → ``local_run``
(start by stages, follow the file, stop in order), which owns one ``child`` per process. Nothing but ``cli`` imports it.
"""

"""Real redis-server, Sentinel and worker processes in trouble: every message is numbered, and every one is counted.

One file for each trouble. A test names the error that senders may see and for how long, makes the trouble, proves that
everything works again, and then that it stays well. What was counted is a line of the table at the end of the run.
"""

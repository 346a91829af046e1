"""What the layer decides, without I/O: events in, actions out. No clock, no randomness, no asyncio, no Redis.

`process` is one process's whole state; it routes events to `publishing` (what was sent, and whether that is certain),
`following` (what is received: position, gaps, duplicates, order), `epochs` (which host list holds), `membership`
(groups of other processes' channels) and `queues` (normal channels).
"""

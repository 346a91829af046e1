"""Pure. How long each step of a gateway's end may take, and so how long a pod is given to end.

The server, which takes the time, and the operator and ``up``, which grant it, read the same numbers.
"""

from __future__ import annotations

import math

# How long clients that were accepted last have to send their request before a drain goes on.
FRESH_SECONDS = 0.2
# How long a client may take to answer a close frame: the last one is sent at the end of the drain's period.
CLOSE_TIMEOUT_SECONDS = 5.0
# How long applications have to end once their connections are cut, and forgotten tasks once they are cancelled.
LAST_WORDS_SECONDS = 2.0
# How long the lifespan's shutdown may take at least, when little or nothing is left of the drain's period.
SHUTDOWN_SECONDS = 5.0
# How long a channel layer waits for shards to take what was sent last, and for a replica to have it.
LAYER_SECONDS = 7.0
# How long threads of the application may go on when everything else has ended. The last spans and metrics leave in the
# same time.
THREADS_SECONDS = 5.0

# Beside the drain's own acceptSeconds and periodSeconds.
GRACE_MARGIN_SECONDS = math.ceil(
    FRESH_SECONDS
    + CLOSE_TIMEOUT_SECONDS
    + 2 * LAST_WORDS_SECONDS  # applications that end by themselves, and those that are cancelled then
    + SHUTDOWN_SECONDS
    + LAYER_SECONDS
    + LAST_WORDS_SECONDS  # forgotten tasks
    + THREADS_SECONDS
)

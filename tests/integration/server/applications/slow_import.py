"""A module whose import takes long enough to be interrupted."""

import time

print("importing", flush=True)
time.sleep(60)


async def application(scope, receive, send):
    pass

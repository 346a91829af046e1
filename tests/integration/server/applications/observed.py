"""The conversations on a server that counts what its HTTP/2 does, and that fails at one frame."""

from collections import Counter

import conversations
from twisted.web._http2 import H2Stream

from realtime_gateway.server.http2 import Http2Connection

FAILS_AT = 99  # a code with which no client resets a stream

counts = Counter()


def count(owner, name):
    method = getattr(owner, name)

    def counted(self, *arguments):
        counts[name] += 1
        return method(self, *arguments)

    setattr(owner, name, counted)


count(Http2Connection, "_sendPrioritisedData")
count(H2Stream, "windowUpdated")

request_aborted = Http2Connection._requestAborted


def fail_at_one(self, event):
    if event.error_code == FAILS_AT:
        raise LookupError("a mistake of the server")
    request_aborted(self, event)


Http2Connection._requestAborted = fail_at_one


async def application(scope, receive, send):
    if scope["type"] == "http" and scope["path"] == "/counts":
        body = f"{counts['_sendPrioritisedData']} {counts['windowUpdated']}".encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
    else:
        await conversations.application(scope, receive, send)

"""Takes the whole of what it is sent and says what that was; /early begins its answer before that.

/objects says how many of the server's objects live.
"""

import gc
import json
from collections import Counter

KINDS = ("GatewayChannel", "GatewayRequest")


async def application(scope, receive, send):
    await {"http": answer, "websocket": echo, "lifespan": live}[scope["type"]](scope, receive, send)


async def answer(scope, receive, send):
    if scope["path"] == "/smuggled":
        print("smuggled", scope["headers"])
    if scope["path"] == "/objects":
        gc.collect()
        living = Counter(type(each).__name__ for each in gc.get_objects())
        await whole(send, json.dumps({kind: living[kind] for kind in KINDS}).encode())
        return
    early = scope["path"] == "/early"
    if early:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"early", "more_body": True})
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    said = f"{scope['method']} {scope['path']} {size}".encode()
    if early:
        await send({"type": "http.response.body", "body": said})
    else:
        await whole(send, said)


async def whole(send, body):
    length = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    await send({"type": "http.response.body", "body": body})


async def echo(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})


async def live(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})

"""An ASGI application with one behaviour per path, for tests of the server."""

import asyncio
import contextlib
import gc
import json
import os
import sys
import time
from urllib.parse import parse_qs


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        raise ValueError("no lifespan here")
    query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
    name = scope["path"].strip("/").replace("-", "_")
    await globals()[f"{scope['type']}_{name or 'index'}"](scope, receive, send, query)


def say(*words):
    print(*words, flush=True)


async def accept(receive, send, **more):
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept", **more})


async def until_disconnect(receive):
    while (message := await receive())["type"] != "websocket.disconnect":
        pass
    say("disconnect", message["code"], message["reason"])


# WebSockets.


async def websocket_echo(scope, receive, send, query):
    await accept(receive, send)
    while (message := await receive())["type"] == "websocket.receive":
        content = {key: message[key] for key in ("text", "bytes") if message.get(key) is not None}
        await send({"type": "websocket.send", **content})
    say("disconnect", message["code"], message["reason"])


def in_json(value):
    return value.decode("latin1") if isinstance(value, bytes) else type(value).__name__


async def websocket_scope(scope, receive, send, query):
    await accept(receive, send)
    shown = {key: value for key, value in scope.items() if key != "app"}
    await send({"type": "websocket.send", "text": json.dumps(shown, default=in_json)})
    await until_disconnect(receive)


async def websocket_close(scope, receive, send, query):
    await accept(receive, send)
    code = {"code": int(query["code"])} if "code" in query else {}
    await send({"type": "websocket.close", **code, "reason": query.get("reason", "")})
    await until_disconnect(receive)


async def websocket_close_then_send(scope, receive, send, query):
    await accept(receive, send)
    await send({"type": "websocket.close", "code": 4000})
    await send({"type": "websocket.send", "text": "too late"})
    await send({"type": "websocket.close", "code": 4001})
    await until_disconnect(receive)
    await send({"type": "websocket.send", "text": "far too late"})
    say("ended in order")


async def websocket_reject(scope, receive, send, query):
    await receive()
    await send({"type": "websocket.close"})
    await until_disconnect(receive)


async def websocket_deny(scope, receive, send, query):
    await receive()
    headers = [(b"content-type", b"application/json"), (b"x-why", b"closed"), (b"x-why", b"today")]
    await send({"type": "websocket.http.response.start", "status": 451, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b'{"come": ', "more_body": True})
    await send({"type": "websocket.http.response.body", "body": b'"tomorrow"}'})
    await until_disconnect(receive)


async def websocket_headers(scope, receive, send, query):
    await accept(receive, send, headers=[(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x-pod", b"chat-0")])
    await until_disconnect(receive)


async def websocket_subprotocol(scope, receive, send, query):
    await accept(receive, send, subprotocol=query["choose"])
    await until_disconnect(receive)


async def websocket_empty(scope, receive, send, query):
    await accept(receive, send)
    await send({"type": "websocket.send", "text": ""})
    await send({"type": "websocket.send", "bytes": b""})
    await until_disconnect(receive)


async def websocket_sizes(scope, receive, send, query):
    await accept(receive, send)
    for size in (0, 1, 125, 126, 65535, 65536, 200_000):
        await send({"type": "websocket.send", "bytes": b"x" * size})
    await until_disconnect(receive)


async def websocket_late(scope, receive, send, query):
    while True:
        message = await receive()
        say("late saw", message["type"])
        if message["type"] == "websocket.disconnect":
            return


async def websocket_slow_accept(scope, receive, send, query):
    await receive()
    say("asked")
    while not os.path.exists(query["until"]):
        await asyncio.sleep(0.02)
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


async def websocket_fail_before(scope, receive, send, query):
    raise RuntimeError("fails before accepting")


async def websocket_fail_after(scope, receive, send, query):
    await accept(receive, send)
    raise RuntimeError("fails after accepting")


async def websocket_return_early(scope, receive, send, query):
    await accept(receive, send)


async def websocket_mistake(scope, receive, send, query):
    await accept(receive, send)
    try:
        await send(json.loads(query["message"]))
    except ValueError as error:
        await send({"type": "websocket.send", "text": str(error)})
    await until_disconnect(receive)


async def websocket_stubborn(scope, receive, send, query):
    await accept(receive, send)
    await until_disconnect(receive)
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        say("cancelled")
        raise


async def websocket_busy(scope, receive, send, query):
    """Takes nothing until a file appears, then counts what it gets."""
    await accept(receive, send)
    while not os.path.exists(query["until"]):
        await asyncio.sleep(0.02)
    received = 0
    while (message := await receive())["type"] == "websocket.receive":
        received += 1
        if message.get("text") == "how many?":
            await send({"type": "websocket.send", "text": str(received)})


async def websocket_turns(scope, receive, send, query):
    """Says how many messages came to it in one turn of the loop at most."""
    loop, turn, came = asyncio.get_running_loop(), 0, {}

    def next_turn():
        nonlocal turn, ticking
        turn += 1
        ticking = loop.call_soon(next_turn)

    ticking = loop.call_soon(next_turn)
    await accept(receive, send)
    while (message := await receive())["type"] == "websocket.receive":
        came[turn] = came.get(turn, 0) + 1
        if message.get("text") == "how many?":
            await send({"type": "websocket.send", "text": str(max(came.values()))})
    ticking.cancel()


async def websocket_flood(scope, receive, send, query):
    """Sends to a client that may not read, and says how far it came."""
    await accept(receive, send)
    with contextlib.suppress(asyncio.CancelledError):
        for number in range(int(query["count"])):
            await send({"type": "websocket.send", "bytes": b"x" * 65536})
            say("sent", number + 1)
    await until_disconnect(receive)


async def websocket_drip(scope, receive, send, query):
    """Sends small messages for as long as its client is there, as fast as it takes them."""
    await accept(receive, send)
    leaving = asyncio.create_task(until_disconnect(receive))
    while not leaving.done():
        await send({"type": "websocket.send", "bytes": b"x" * 100})
        await asyncio.sleep(0)


async def websocket_deny_in_pieces(scope, receive, send, query):
    await receive()
    await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
    piece = b"x" * int(query.get("size", 65536))
    for _ in range(int(query["count"])):
        await send({"type": "websocket.http.response.body", "body": piece, "more_body": True})
    say("denied in pieces")
    await until_disconnect(receive)


async def websocket_deny_at_length(scope, receive, send, query):
    await receive()
    await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b"x" * int(query["size"])})
    await until_disconnect(receive)


# HTTP.


async def reply(send, body, status=200, headers=()):
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": body})


async def http_index(scope, receive, send, query):
    await reply(send, b"hello")


async def http_objects(scope, receive, send, query):
    """Says how many objects the process has made and kept, after a look at all of them."""
    gc.collect()
    await reply(send, str(len(gc.get_objects())).encode(), headers=[(b"connection", b"close")])


async def http_uncollected(scope, receive, send, query):
    """Says how many there are without a look, now and from now on: also those that wait for the garbage collector."""
    gc.disable()
    await reply(send, str(len(gc.get_objects())).encode(), headers=[(b"connection", b"close")])


async def http_pid(scope, receive, send, query):
    await reply(send, str(os.getpid()).encode(), headers=[(b"connection", b"close")])


async def http_scope(scope, receive, send, query):
    shown = {key: value for key, value in scope.items() if key != "app"}
    await reply(send, json.dumps(shown, default=lambda value: value.decode("latin1")).encode())


async def http_status(scope, receive, send, query):
    await reply(send, b"", status=int(query["status"]))


async def http_body(scope, receive, send, query):
    pieces = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        pieces.append(len(message["body"]))
        if not message["more_body"]:
            break
    await reply(send, json.dumps(pieces).encode())


async def http_slow(scope, receive, send, query):
    say("slow began")
    while not os.path.exists(query["until"]):
        await asyncio.sleep(0.02)
    await reply(send, b"done")


async def http_large(scope, receive, send, query):
    await reply(send, b"x" * int(query["size"]))


async def http_wait_for_disconnect(scope, receive, send, query):
    await receive()
    say("waiting")
    message = await receive()
    say("http saw", message["type"])


async def http_fail(scope, receive, send, query):
    raise RuntimeError("fails before responding")


async def http_fail_midway(scope, receive, send, query):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"10")]})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise RuntimeError("fails while responding")


async def http_nothing(scope, receive, send, query):
    pass


async def http_block(scope, receive, send, query):
    print("blocking the event loop", flush=True)
    time.sleep(float(query["seconds"]))
    await reply(send, b"blocked")


async def http_hold(scope, receive, send, query):
    """Computes for so long and lets no other thread run meanwhile, as a step of a regular expression may."""
    interval, begun = sys.getswitchinterval(), time.thread_time()
    sys.setswitchinterval(3600)
    while time.thread_time() - begun < float(query["seconds"]):
        pass
    sys.setswitchinterval(interval)
    await reply(send, b"held")


async def http_loop(scope, receive, send, query):
    loop = asyncio.get_running_loop()
    policy = type(asyncio.get_event_loop_policy())
    facts = {"loop": type(loop).__module__, "policy": f"{policy.__module__}.{policy.__name__}"}
    await reply(send, json.dumps(facts).encode())


async def http_busy_thread(scope, receive, send, query):
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 3600)
    print("printed without a line's end", end="")
    await reply(send, b"a thread is busy now")


async def websocket_last_words(scope, receive, send, query):
    """Sends and closes in one turn of the loop."""
    await accept(receive, send)
    for number in range(3):
        await send({"type": "websocket.send", "text": str(number)})
    await send({"type": "websocket.close", "code": 4000})
    await until_disconnect(receive)


async def http_stream(scope, receive, send, query):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    piece = b"x" * int(query.get("size", 65536))
    for number in range(int(query["count"])):
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        say("streamed", number + 1)
    await send({"type": "http.response.body", "body": b""})


async def http_begin_and_wait(scope, receive, send, query):
    """Begins its response, and ends it when a file appears."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    while not os.path.exists(query["until"]):
        await asyncio.sleep(0.02)
    await send({"type": "http.response.body", "body": b"ended"})


async def http_gated_body(scope, receive, send, query):
    """Says that it runs, takes nothing until a file appears, then counts what it gets."""
    say("body begins")
    while not os.path.exists(query["until"]):
        await asyncio.sleep(0.02)
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message["body"]), message["more_body"]
    await reply(send, str(size).encode())


async def websocket_large_messages(scope, receive, send, query):
    await accept(receive, send)
    for _ in range(3):
        await send({"type": "websocket.send", "bytes": b"x" * int(query["size"])})
    await until_disconnect(receive)


async def http_small_pieces(scope, receive, send, query):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for _ in range(int(query["count"])):
        await send({"type": "http.response.body", "body": b"data: 0123456789\n\n", "more_body": True})
    await send({"type": "http.response.body", "body": b""})

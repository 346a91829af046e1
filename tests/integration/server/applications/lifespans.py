"""ASGI applications that differ in how they take the lifespan protocol."""

import asyncio
import json


async def _respond(scope, send):
    body = json.dumps({"state": scope.get("state")}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def supported(scope, receive, send):
    if scope["type"] != "lifespan":
        await _respond(scope, send)
        return
    assert (await receive())["type"] == "lifespan.startup"
    scope["state"]["pool"] = "open"
    print("started up", flush=True)
    await send({"type": "lifespan.startup.complete"})
    assert (await receive())["type"] == "lifespan.shutdown"
    print("shut down", flush=True)
    await send({"type": "lifespan.shutdown.complete"})


async def raising(scope, receive, send):
    if scope["type"] == "lifespan":
        raise ValueError("what is a lifespan?")
    await _respond(scope, send)


async def returning(scope, receive, send):
    if scope["type"] != "lifespan":
        await _respond(scope, send)


async def failing(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "the database is away"})


async def hanging(scope, receive, send):
    if scope["type"] == "lifespan":
        print("starting up", flush=True)
        await asyncio.sleep(3600)


async def never_shut_down(scope, receive, send):
    if scope["type"] != "lifespan":
        await _respond(scope, send)
        return
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    print("shutting down", flush=True)
    await asyncio.sleep(3600)

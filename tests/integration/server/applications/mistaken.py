"""Applications that make a mistake and go on, one per path."""

import contextlib

from conversations import accept, say, until_disconnect


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        raise ValueError("no lifespan here")
    await globals()[scope["path"].strip("/").replace("-", "_")](receive, send)


async def closes_again(receive, send):
    await accept(receive, send)
    with contextlib.suppress(ValueError):
        await send({"type": "websocket.close", "code": 1005})
    await send({"type": "websocket.send", "text": "still here"})
    await send({"type": "websocket.close", "code": 4000, "reason": "this time"})
    await until_disconnect(receive)


async def denies_without_a_status(receive, send):
    await receive()
    await send({"type": "websocket.http.response.start", "headers": []})


async def denies_again(receive, send):
    await receive()
    with contextlib.suppress(ValueError):
        await send({"type": "websocket.http.response.start", "headers": []})
    await send({"type": "websocket.http.response.start", "status": 451, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b"no"})
    await until_disconnect(receive)


async def accepts_badly_and_forgets(receive, send):
    await receive()
    with contextlib.suppress(ValueError):
        await send({"type": "websocket.accept", "headers": [(b"x", b"a\r\nb: c")]})
    while (message := await receive())["type"] != "websocket.disconnect":
        pass
    say("forgetful saw", message["type"])


async def denies_half(receive, send):
    await receive()
    await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b"half of", "more_body": True})
    raise RuntimeError("fails while denying")


async def denies_half_and_returns(receive, send):
    await receive()
    await send({"type": "websocket.http.response.start", "status": 403, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b"half of", "more_body": True})


async def accepts_with_every_byte(receive, send):
    await accept(receive, send, headers=[(b"x-name", "h\u00e9".encode("latin1")), (b"X-Bytes", bytes(range(128, 256)))])
    await until_disconnect(receive)

from __future__ import annotations

import pytest

from realtime_gateway.auth.token_middleware import TokenMiddleware


async def application(scope: object, receive: object, send: object) -> None:
    """Never reached here."""


def test_a_stack_that_does_not_say_whose_a_token_is_fails_when_it_is_made_and_not_at_the_first_handshake() -> None:
    class Forgot(TokenMiddleware):
        def authentcate(self, token: str, scope: object) -> None: ...

    with pytest.raises(TypeError, match=r"abstract method '?authenticate"):
        Forgot(application)

"""Auth stacks by name."""

from __future__ import annotations

from pathlib import Path

import pytest
from channels.sessions import CookieMiddleware
from django.test import override_settings

from realtime_gateway.auth.jwt import JwtMiddleware
from realtime_gateway.auth.stack import no_stack, stack_named
from realtime_gateway.errors import ConfigurationError
from realtime_gateway.resource.cluster import SecretKey
from realtime_gateway.resource.spec import Jwt
from realtime_gateway.security.denial import Receive, Scope, Send


async def inner(scope: Scope, receive: Receive, send: Send) -> None: ...


def test_session_is_channels_own_stack() -> None:
    assert isinstance(stack_named("session")(inner), CookieMiddleware)


def test_none_changes_nothing() -> None:
    assert no_stack(inner) is inner


def test_a_stack_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigurationError, match="session, none, jwt, drfToken, simpleJwt, query"):
        stack_named("magic")


def test_tokens_are_checked_as_the_resource_says() -> None:
    stack = stack_named("jwt", Jwt(jwks_url="https://id.example/jwks", issuer="https://id.example", audience="chat"))(
        inner
    )
    assert isinstance(stack, JwtMiddleware)
    assert stack.rules is not None
    assert (stack.rules.issuer, stack.rules.audience) == ("https://id.example", "chat")


def test_the_settings_win_over_the_resource() -> None:
    with override_settings(REALTIME_GATEWAY={"JWT": {"KEY": "k" * 32, "ISSUER": "mine"}}):
        stack = stack_named("jwt", Jwt(jwks_url="https://id.example/jwks"))(inner)
    assert isinstance(stack, JwtMiddleware)
    assert stack._rules.issuer == "mine"


def test_a_key_of_a_secret_is_a_file_in_the_directory_of_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = Jwt(secret_ref=SecretKey("jwt", "hmac"), issuer="mine")
    with pytest.raises(ConfigurationError, match="REALTIME_GATEWAY_SECRETS"):
        stack_named("jwt", rules)
    monkeypatch.setenv("REALTIME_GATEWAY_SECRETS", str(tmp_path))
    with pytest.raises(ConfigurationError, match="jwt-key, with the key that JWTs are checked with: it cannot be read"):
        stack_named("jwt", rules)(inner)
    (tmp_path / "jwt-key").write_text("k" * 32)
    stack = stack_named("jwt", rules)(inner)
    assert isinstance(stack, JwtMiddleware)
    assert (stack._keys.algorithms, stack._rules.issuer) == (("HS256", "HS384", "HS512"), "mine")
    assert "k" * 32 not in repr(vars(stack))


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({}, "exactly one of a key, a file with a key, and the address"),
        ({"KEY": "k" * 32, "JWKS_URL": "https://id.example"}, "exactly one"),
        ({"KEY": "short"}, "shorter than 32 bytes"),
        ({"KEY": "k" * 32, "ALGORITHMS": ["RS256"]}, "RS256"),
        ({"KEY": "-----BEGIN PRIVATE KEY-----"}, "private key"),
        ({"KEY": "-----BEGIN PUBLIC KEY-----\nx"}, "cannot be read"),
        ({"JWKS_URL": "file:///etc/passwd"}, "https://"),
        ({"ISSUR": "x"}, "unknown key 'ISSUR'"),
        ({"KEY_FILE": "/nowhere"}, "cannot be read"),
    ],
)
def test_rules_that_cannot_be_meant_stop_the_start(given: dict[str, object], part: str) -> None:
    with override_settings(REALTIME_GATEWAY={"JWT": given}), pytest.raises(ConfigurationError, match=part):
        stack_named("jwt")(inner)

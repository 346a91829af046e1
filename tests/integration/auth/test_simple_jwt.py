"""The end of an access token of SimpleJWT is its own, with the leeway that SimpleJWT grants."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from rest_framework_simplejwt.state import token_backend
from rest_framework_simplejwt.tokens import AccessToken
from tests.integration.auth.conftest import accepting

from realtime_gateway.auth.identity import Identity
from realtime_gateway.auth.simple_jwt import SimpleJWTAuthTokenMiddleware


@pytest.mark.parametrize("leeway", [0, 120, timedelta(minutes=2)])
async def test_a_connection_ends_when_the_token_is_no_longer_accepted(
    leeway: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_backend, "leeway", leeway)
    user = await User.objects.acreate_user("ann")
    token = AccessToken.for_user(user)
    token["exp"] = int(time.time()) + (60 if leeway == 0 else -60)
    identity = await sync_to_async(SimpleJWTAuthTokenMiddleware(accepting).authenticate)(str(token), {})
    assert isinstance(identity, Identity)
    assert identity.expires_at == token["exp"] + (0 if leeway == 0 else 120)

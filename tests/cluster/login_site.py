"""A site without a database, which a test mounts into the gateway's pods: people log in, and a socket says as whom."""

# ruff: noqa: E402 - Django is set up before anything that imports a model

import os
from typing import Any

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest, HttpResponse
from django.urls import path

# It would write the time into a database.
user_logged_in.disconnect(dispatch_uid="update_last_login")


class Accounts:
    """Everybody is Ann."""

    def get_user(self, user_id: int) -> User:
        return User(pk=user_id, username="ann")


def log_in(request: HttpRequest) -> HttpResponse:
    login(request, Accounts().get_user(1), backend="login_site.Accounts")
    return HttpResponse("Welcome, Ann.")


urlpatterns = [path("login/", log_in)]


class WhoAmI(AsyncJsonWebsocketConsumer):
    """Says who is connected, and to which pod, when asked: what a server says at once, some ingresses swallow."""

    async def receive_json(self, content: Any, **_: Any) -> None:
        await self.send_json({"user": self.scope["user"].username, "pod": os.environ["HOSTNAME"]})


application: Any = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(WhoAmI.as_asgi())),
    }
)

"""One path per stack; each socket tells what it knows of its client."""

import asyncio
import os
from pathlib import Path

from asgiref.sync import async_to_sync
from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer, WebsocketConsumer
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.auth import login, logout
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt
from knox.views import LogoutView
from tests.support.documented import code_under

from realtime_gateway.auth.drf_token import DRFAuthTokenMiddleware
from realtime_gateway.auth.jwt import JwtMiddleware, JwtRules
from realtime_gateway.auth.login import get_user
from realtime_gateway.auth.login import login as login_on
from realtime_gateway.auth.login import logout as logout_on
from realtime_gateway.auth.session import session_stack
from realtime_gateway.auth.simple_jwt import QueryStringSimpleJWTAuthTokenMiddleware, SimpleJWTAuthTokenMiddleware
from realtime_gateway.auth.token_sources import FirstMessage, Header, Query
from realtime_gateway.consumers import AsyncJsonWebsocketConsumer as OurConsumer
from realtime_gateway.consumers import requires
from realtime_gateway.resource.limits import ConnectionLimits, Limits, MessageRate, UserLimits
from realtime_gateway.security.limiting import UserLimiting


class Knock(AsyncJsonWebsocketConsumer):
    """Says who is there, and echoes."""

    async def connect(self):
        await self.accept()
        await self.send_json(
            {
                "user": self.scope["user"].get_username(),
                "query": self.scope["query_string"].decode(),
                "offered": self.scope["subprotocols"],
            }
        )

    async def receive_json(self, content):
        if content == "crash":
            raise RuntimeError("the consumer failed")
        await self.send_json(content)

    async def disconnect(self, code):
        await asyncio.to_thread(self.note, f"{self.scope['user'].get_username()} left with {code}\n")

    def note(self, line):
        with Path(os.environ["SHOP_DIARY"]).open("a") as diary:
            diary.write(line)


async def is_own(user, group):
    return group == f"user-{user.pk}"


class Counter(OurConsumer):
    """Joins the groups that its client names, as far as the policies go, and tells them what it is told to."""

    group_policies = {"lobby": True, "staff": "auth.change_user", "user-*": is_own}

    async def receive_json(self, content):
        await getattr(self, {"join": "join", "tell": "tell"}[content["do"]])(content)
        await self.send_json("done")

    async def join(self, content):
        await self.channel_layer.group_add(content["group"], self.channel_name)

    @requires("auth.change_user")
    async def tell(self, content):
        await self.channel_layer.group_send(content["group"], {"type": "said", "text": content["text"]})

    async def said(self, event):
        await self.send_json(event["text"])


class Desk(AsyncWebsocketConsumer):
    """Logs in who says "in"."""

    async def receive(self, text_data=None, bytes_data=None):
        if text_data == "in":
            await login_on(self.scope, await User.objects.aget(username="ann"))
        elif text_data == "out":
            await logout_on(self.scope)
        await self.send((await get_user(self.scope)).get_username() or "nobody")


class SlowDesk(WebsocketConsumer):
    """The same, synchronous."""

    def receive(self, text_data=None, bytes_data=None):
        if text_data == "in":
            async_to_sync(login_on)(self.scope, User.objects.get(username="ann"))
        elif text_data == "out":
            async_to_sync(logout_on)(self.scope)
        self.send(async_to_sync(get_user)(self.scope).get_username() or "nobody")


# The stacks that the documentation has for others to copy, as they are written there.
documented = {}
for heading in ("## A stack of your own", "### On allauth's session tokens", "### On a cookie of dj-rest-auth"):
    exec(code_under("auth.md", heading), documented)

RSA = rsa.generate_private_key(65537, 2048).public_key()
RSA_KEY = RSA.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()

knock = Knock.as_asgi()
STACKS = {
    "session": session_stack(knock),
    "desk": session_stack(Desk.as_asgi()),
    "limited-desk": session_stack(
        UserLimiting(Desk.as_asgi(), Limits(per_user=UserLimits(messages=MessageRate(1, burst=10))))
    ),
    "patient": session_stack(
        UserLimiting(knock, Limits(per_connection=ConnectionLimits(messages=MessageRate(1, 2, "delay"))))
    ),
    "slow-desk": session_stack(SlowDesk.as_asgi()),
    "jwt": JwtMiddleware(knock),
    "rsa": JwtMiddleware(knock, rules=JwtRules(key=RSA_KEY, issuer="shop", audience="chat")),
    "either": SimpleJWTAuthTokenMiddleware(knock, sources=(Header(), Query())),
    "counter": DRFAuthTokenMiddleware(Counter.as_asgi()),
    "required": JwtMiddleware(knock, required=True),
    "drf": DRFAuthTokenMiddleware(knock),
    "simplejwt": SimpleJWTAuthTokenMiddleware(knock),
    "query": QueryStringSimpleJWTAuthTokenMiddleware(knock),
    "cookie": documented["CookieTokenMiddleware"](knock),
    "first": SimpleJWTAuthTokenMiddleware(knock, sources=(FirstMessage(within_seconds=1.0),), required=True),
    "knox": documented["KnoxMiddleware"](knock),
    "session-token": documented["SessionTokenMiddleware"](knock),
}


def log_in(request, name):
    login(request, User.objects.get(username=name), backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse(request.session.session_key)


@csrf_exempt
def log_out(request):
    logout(request)
    return HttpResponse("bye")


def ready(request):
    return HttpResponse("ready")


urlpatterns = [
    path("ready/", ready),
    path("login/<name>/", log_in),
    path("logout/", log_out),
    path("knox-logout/", LogoutView.as_view()),
    path("allauth/", include("allauth.headless.urls")),
    path("rest/", include("dj_rest_auth.urls")),
]
knocking_urlpatterns = [path("knock/", knock)]
websocket_urlpatterns = [path(f"{name}/", stack) for name, stack in STACKS.items()]

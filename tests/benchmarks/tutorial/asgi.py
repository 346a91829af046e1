"""The application, with the middleware that the tutorial puts around the routes."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.benchmarks.tutorial.settings")
pages = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402  # Django must be set up first
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import AllowedHostsOriginValidator  # noqa: E402
from django.urls import re_path  # noqa: E402

from tests.benchmarks.tutorial.consumers import ChatConsumer, EchoConsumer, FastChatConsumer  # noqa: E402

application = ProtocolTypeRouter(
    {
        "http": pages,
        "websocket": AllowedHostsOriginValidator(
            AuthMiddlewareStack(
                URLRouter(
                    [
                        re_path(r"^ws/chat/(?P<room>\w+)/$", ChatConsumer.as_asgi()),
                        re_path(r"^ws/echo/$", EchoConsumer.as_asgi()),
                        re_path(r"^ws/fast/(?P<room>\w+)/$", FastChatConsumer.as_asgi()),
                    ]
                )
            )
        ),
    }
)

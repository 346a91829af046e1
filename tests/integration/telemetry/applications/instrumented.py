"""A site with OpenTelemetry's own instrumentations of Django and ASGI, and a tracer provider of its own."""

from __future__ import annotations

from typing import Any

import django
from django.conf import settings
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)

settings.configure(
    SECRET_KEY="no secret: lives for seconds on a loopback address",
    INSTALLED_APPS=["realtime_gateway", "channels"],
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    CHANNEL_LAYERS={"default": {"BACKEND": "realtime_gateway.layer.RedisChannelLayer"}},
    ASGI_APPLICATION=f"{__name__}.application",
    LOGGING_CONFIG=None,
)
DjangoInstrumentor().instrument()
django.setup()

from asgiref.sync import async_to_sync  # noqa: E402  # Django is set up first
from channels.generic.websocket import AsyncWebsocketConsumer  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402


def announce(request: HttpRequest) -> HttpResponse:
    """Tell the room, from a synchronous view."""
    async_to_sync(get_channel_layer().group_send)("chat_lobby", {"type": "chat.message", "message": "announced"})
    return HttpResponse("told")


class Chat(AsyncWebsocketConsumer):
    groups = ["chat_lobby"]

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        # A span of the site's own, in the middle of ours.
        with trace.get_tracer("site").start_as_current_span("moderate"):
            await self.channel_layer.group_send("chat_lobby", {"type": "chat.message", "message": text_data})

    async def chat_message(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["message"])


urlpatterns = [path("announce/", announce)]
application = OpenTelemetryMiddleware(
    ProtocolTypeRouter({"http": get_asgi_application(), "websocket": URLRouter([path("chat/", Chat.as_asgi())])})
)

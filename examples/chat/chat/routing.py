from django.urls import path, re_path

from chat import consumers

websocket_urlpatterns = [
    re_path(r"^ws/chat/(?P<room>[-a-zA-Z0-9_]{1,80})/$", consumers.ChatConsumer.as_asgi()),
    re_path(r"^ws/fast/(?P<room>[-a-zA-Z0-9_]{1,80})/$", consumers.FastChatConsumer.as_asgi()),
    path("ws/echo/", consumers.EchoConsumer.as_asgi()),
    path("ws/notifications/", consumers.NotificationConsumer.as_asgi()),
    path("ws/visits/", consumers.VisitConsumer.as_asgi()),
]

# Channels that `manage.py runworker receipts` reads.
channel_names = {"receipts": consumers.ReceiptConsumer.as_asgi()}

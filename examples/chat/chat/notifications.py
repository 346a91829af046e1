"""What views, signals, commands and workers use to reach a user's open pages."""

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer


def user_group(user_id: int) -> str:
    return f"user.{user_id}"


def notify(user_id: int, **content: str | int) -> None:
    async_to_sync(get_channel_layer().group_send)(user_group(user_id), {"type": "notification", **content})

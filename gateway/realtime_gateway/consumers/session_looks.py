"""Takes out of Channels' session and auth middleware what needs no look.

- ``InstanceSessionWrapper.send`` asks a lazy session whether it is modified and empty before it looks at the message's
  type, and uses the answers only for the start of an HTTP response. For a message to a WebSocket that is 4.4 µs of CPU,
  a tenth of what all of its way from the layer to the socket takes. Here such a message passes at once.
- ``get_user`` goes to a thread and back for the user of each new connection. Of a client that has named no session it
  is known here that it is anonymous.

The patch replaces these two names, and nothing else. It is applied only to versions of Channels whose source is known,
and ``REALTIME_GATEWAY = {"SKIP_SESSION_LOOK": False}`` turns it off.
"""

from __future__ import annotations

import logging
from typing import Any

import channels
import channels.auth
from channels.sessions import InstanceSessionWrapper
from django.conf import settings

from realtime_gateway.auth.session_user import holds_nobody
from realtime_gateway.consumers.known_source import digest
from realtime_gateway.settings import gateway_settings

logger = logging.getLogger("realtime_gateway.consumers")

# Of the two as they are in Channels 4.3.0, 4.3.1 and 4.3.2.
KNOWN_SOURCES = frozenset({"1e567710b1a296729df0ac86b2c048115668e17609d08e47de2f5923c96e86bc"})

_upstream_send = InstanceSessionWrapper.send
_upstream_get_user = channels.auth.get_user


def apply_as_set() -> None:
    """Apply the patch unless the settings say otherwise; for a process that has its settings."""
    if settings.configured and gateway_settings().skip_session_look:
        apply()


def apply() -> bool:
    """Apply the patch and say whether it is in place; a second call changes nothing."""
    if InstanceSessionWrapper.send is send:
        return True
    if digest(InstanceSessionWrapper.send, channels.auth.get_user.func) not in KNOWN_SOURCES:
        logger.warning(
            "Channels %s handles sessions in a way that this version of realtime-gateway was not tested with, so each "
            "message and each connection still waits for a look at the session. Upgrade realtime-gateway, or set "
            'REALTIME_GATEWAY = {"SKIP_SESSION_LOOK": False} to leave it so without this warning.',
            channels.__version__,
        )
        return False
    InstanceSessionWrapper.send = send
    channels.auth.get_user = get_user
    return True


def remove() -> None:
    """Give Channels its own back."""
    InstanceSessionWrapper.send = _upstream_send
    channels.auth.get_user = _upstream_get_user


async def send(wrapper: InstanceSessionWrapper, message: dict[str, Any]) -> Any:
    """Do what ``InstanceSessionWrapper.send`` does."""
    # A subclass may save its session with any message.
    if message.get("type") == "websocket.send" and "websocket.send" not in wrapper.save_message_types:
        return await wrapper.real_send(message)
    return await _upstream_send(wrapper, message)


async def get_user(scope: dict[str, Any]) -> Any:
    """Do what ``channels.auth.get_user`` does."""
    if "session" in scope and holds_nobody(scope["session"]):
        from django.contrib.auth.models import AnonymousUser

        return AnonymousUser()
    return await _upstream_get_user(scope)

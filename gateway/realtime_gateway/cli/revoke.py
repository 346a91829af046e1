"""`realtime-gateway revoke --user KEY`: close every WebSocket of a user, on all pods.

It runs where the site's settings are.
"""

from __future__ import annotations

import argparse
import sys

from asgiref.sync import async_to_sync

from realtime_gateway.errors import ConfigurationError, GatewayError, StartError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("--user", required=True, metavar="KEY", help="the user's primary key")
    parser.add_argument("--reason", default="logged out", help="what the clients are told (default: logged out)")


def run(arguments: argparse.Namespace) -> int:
    """Tell all processes.

    Raises:
        ConfigurationError: Django's settings, or a channel layer in them, are missing; or no user can have that key.
        StartError: the channel layer cannot be reached.
    """
    import django
    from channels.layers import InMemoryChannelLayer, get_channel_layer
    from django.core.exceptions import ImproperlyConfigured

    from realtime_gateway.auth.notices import GROUP, Action, Notice, message_of
    from realtime_gateway.security.user_keys import key_of

    sys.path.insert(0, "")
    try:
        django.setup()
        layer = get_channel_layer()
    except (ImproperlyConfigured, ModuleNotFoundError) as error:
        raise ConfigurationError(
            f"The site's settings cannot be used: {error}", "Set DJANGO_SETTINGS_MODULE."
        ) from error
    if layer is None or isinstance(layer, InMemoryChannelLayer):
        which = "no channel layer" if layer is None else "a channel layer in memory, which no other process hears"
        raise ConfigurationError(
            f"The settings have {which}: there is nothing through which the other processes could be told.",
            "Run it with the settings that the site runs with.",
        )
    if len(arguments.reason.encode()) > 123:
        raise ConfigurationError("The reason is longer than 123 bytes, which is what a close frame holds.")
    notice = Notice(Action.END, (key_of(arguments.user),), reason=arguments.reason)
    try:
        async_to_sync(layer.group_send)(GROUP, message_of([(0.0, notice)]))
    except GatewayError:
        raise
    except Exception as error:  # the layer may be anybody's, and so are its errors
        raise StartError(f"The channel layer cannot be reached: {error}") from error
    print(f"All processes have been told to close the WebSockets of the user {arguments.user}.")
    return 0

"""`manage.py runworker`: Channels' command, whose consumers are traced as those behind sockets are."""

from __future__ import annotations

from typing import Any

from channels.management.commands.runworker import Command as ChannelsCommand
from django.core.management import CommandError

from realtime_gateway.environment import read_environment
from realtime_gateway.errors import GatewayError
from realtime_gateway.resource import load_resource
from realtime_gateway.tracing import start_tracing


class Command(ChannelsCommand):  # type: ignore[misc]  # channels is untyped
    """Channels' command, in a process that traces if the environment or its resource says so."""

    def handle(self, *arguments: Any, **options: Any) -> None:
        """Trace, and run the worker until it is told to stop."""
        environment = read_environment()
        try:
            file = environment.resource_file
            end_tracing = start_tracing(environment, None if file is None else load_resource(file))
        except GatewayError as error:
            raise CommandError(f"{error.message} {error.remedy}") from error
        try:
            super().handle(*arguments, **options)
        finally:
            end_tracing()

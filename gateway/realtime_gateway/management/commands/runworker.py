"""`manage.py runworker`: Channels' command, whose consumers are traced as those behind sockets are."""

from __future__ import annotations

from typing import Any

from channels.management.commands.runworker import Command as ChannelsCommand

from realtime_gateway.tracing import trace_command


class Command(ChannelsCommand):  # type: ignore[misc]  # Channels ships no types, so the base is Any
    """Channels' command, in a process that traces if the environment or its resource says so."""

    def handle(self, *arguments: Any, **options: Any) -> None:
        """Trace, and run the worker until it is told to stop."""
        with trace_command():
            super().handle(*arguments, **options)

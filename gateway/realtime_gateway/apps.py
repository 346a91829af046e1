"""What Django starts: the application config of ``realtime_gateway`` in INSTALLED_APPS."""

from django.apps import AppConfig
from django.core import checks as django_checks


class RealtimeGatewayConfig(AppConfig):
    """Replaces the ``daphne`` line in INSTALLED_APPS."""

    name = "realtime_gateway"
    verbose_name = "Realtime gateway"

    def ready(self) -> None:
        """Register the system checks, and make Channels' dispatch cheaper unless the settings say otherwise.

        Where the project has set a tracer provider, our spans go there. Changes of users, sessions, tokens and
        permissions end the WebSockets that they concern.
        """
        from realtime_gateway import checks, tracing
        from realtime_gateway.auth import triggers
        from realtime_gateway.consumers import database_hop, dispatching, session_looks

        for check, tag in checks.CHECKS.items():
            django_checks.register(check, tag)
        database_hop.apply_as_set()
        dispatching.apply_as_set()
        session_looks.apply_as_set()
        tracing.follow_project()
        triggers.connect()

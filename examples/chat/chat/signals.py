from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.signals import post_save, pre_save
from django.dispatch import receiver

from chat.models import Order
from chat.notifications import notify


@receiver(pre_save, sender=Order)
def remember_status(instance: Order, **kwargs: Any) -> None:
    instance.status_before = Order.objects.filter(pk=instance.pk).values_list("status", flat=True).first()


@receiver(post_save, sender=Order)
def tell_the_user(instance: Order, **kwargs: Any) -> None:
    if instance.status != instance.status_before:
        text = f"Your order “{instance.item}” is {instance.get_status_display().lower()}."
        send = partial(
            notify, instance.user_id, kind="order", text=text, order=instance.pk, status=instance.get_status_display()
        )
        transaction.on_commit(send)  # the admin saves in a transaction; a page must not learn what is rolled back

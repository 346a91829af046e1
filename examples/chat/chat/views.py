from decimal import Decimal

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from chat.models import Order


def home(request: HttpRequest) -> HttpResponse:
    orders = Order.objects.filter(user=request.user) if request.user.is_authenticated else []
    return render(request, "chat/home.html", {"orders": orders})


def room(request: HttpRequest, room: str) -> HttpResponse:
    return render(request, "chat/room.html", {"room": room})


@login_required
@require_POST
def place_order(request: HttpRequest) -> HttpResponse:
    Order.objects.create(user=request.user, item="A pound of tea", price=Decimal("12.50"))
    return redirect("home")


@login_required
@require_POST
def ask_for_receipt(request: HttpRequest, order_id: int) -> HttpResponse:
    order = get_object_or_404(Order, pk=order_id, user=request.user)
    # A normal channel: whichever worker is free takes it.
    async_to_sync(get_channel_layer().send)("receipts", {"type": "receipt.write", "order": order.pk})
    messages.info(request, "The receipt is being written.")
    return redirect("home")

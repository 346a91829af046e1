from django.contrib import admin

from chat.models import Order


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["item", "user", "price", "status"]
    list_filter = ["status"]
    search_fields = ["item", "user__username"]

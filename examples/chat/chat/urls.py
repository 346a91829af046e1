from django.contrib import admin
from django.contrib.auth import views as auth_views
from django.contrib.staticfiles.views import serve
from django.urls import path, re_path

from chat import views

urlpatterns = [
    path("", views.home, name="home"),
    re_path(r"^chat/(?P<room>[-a-zA-Z0-9_]{1,80})/$", views.room, name="room"),
    path("orders/", views.place_order, name="place-order"),
    path("orders/<int:order_id>/receipt/", views.ask_for_receipt, name="receipt"),
    path("login/", auth_views.LoginView.as_view(), name="login"),
    path("logout/", auth_views.LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    # Enough for an example; a real site leaves this to WhiteNoise or a web server.
    re_path(r"^static/(?P<path>.*)$", serve, {"insecure": True}),
]

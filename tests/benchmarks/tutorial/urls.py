"""No pages: only the room's socket is measured, and an answer of 404 says that the server is up."""

urlpatterns: list[object] = []

"""Who may connect: refusals that are logged and counted, and the validation of origins.

Middleware for ASGI applications: knows Django's settings and Channels' security module, but no server, layer, consumer.
"""

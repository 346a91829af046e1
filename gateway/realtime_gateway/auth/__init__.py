"""Who a client is: the stacks of ASGI middleware that put ``user`` into the scope.

Subclasses and compositions of Channels' own; of this project only ``security`` and what lies below it. ``routing``
imports it.
"""

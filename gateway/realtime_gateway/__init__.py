"""The data plane: what runs in a Daphne pod, and the contract it shares with the operator.

The packages in the order of a message's way: ``server`` (client socket to ASGI), ``security`` and ``auth``,
``consumers``, ``layer`` (consumer to Redis), ``fanout`` (Redis to sockets). ``hosts`` and ``resource`` are the contract
with the operator; ``local`` and ``cli`` start things. docs/architecture.md has the import rules.
"""

__version__ = "0.1.0"

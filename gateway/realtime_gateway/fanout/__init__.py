"""One message for many sockets of this process: rendered once, and written straight to whoever has nothing before it.

What belongs here: the mark ``@fanout`` on a consumer's handler, rendering, and the choice between a member's socket and
its mailbox. What does not: Channels, Redis, sockets. The server's outboxes and the layer's mailboxes come in as the
Protocols ``Outbox`` and ``Offer``, which ``delivery`` declares.

Who may import it: ``consumers``.
"""

"""A web page that shows a running gateway, and the way of one message through it.

What belongs here: reading what processes tell on their admin ports, making trees of spans, the page with its files, and
the server of it. What does not: who runs which process; that comes in as ``site.Source``. It only ever reads.

Who may import it: ``local`` and ``cli``.
"""

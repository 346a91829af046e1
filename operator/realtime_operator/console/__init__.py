"""The web page that `realtime-gateway up` has too, for the resources of a cluster: read-only, on the loopback address.

What belongs here: what the page is told of a cluster (``processes``), looking at it while somebody looks at the page
(``cluster_source``), and serving it (``serving``). What does not: the page itself, which is that of
``realtime_gateway.console``, and anything that writes.

Who may import it: ``__main__``.
"""

"""Client socket ⇄ ASGI: Daphne's server, made fit for a pod.

What belongs here: sockets, HTTP and WebSocket protocol, backpressure, drain, the admin port, several processes on one
port. What does not: channel layers, authentication, Django; the server gets an ASGI callable and knows nothing about
it.

To run it from a program (``manage.py runserver``, a live-server test case), in place of ``daphne.server.Server``::

    from realtime_gateway.server.gateway_server import GatewayServer   # before anything imports daphne or twisted
    from realtime_gateway.server.options import ServerOptions

    server = GatewayServer(
        application,
        endpoints=["tcp:port=0:interface=127.0.0.1"],   # 0: any free port
        options=ServerOptions(drain_period_seconds=1),  # optional; all of Daphne's arguments are accepted beside it
        ready_callable=lambda: print(server.listening_addresses),  # called once every socket listens
    )
    server.run()   # blocks; from another thread: server.drain() or, at once, server.stop()

``run`` works once per process, as Twisted's reactor does; a test case starts it in a process of its own. It raises
``errors.StartError`` when it cannot start, and works in any thread with ``signal_handlers=False``.

Who may import it: ``cli``, ``local``, ``management`` and ``testing``. Importing ``gateway_server``, ``http`` or
``websocket`` installs Twisted's asyncio reactor; the modules marked pure in their first line do not.
"""

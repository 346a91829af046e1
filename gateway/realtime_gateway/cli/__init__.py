"""`realtime-gateway`: one module per subcommand, each with ``add_arguments(parser)`` and ``run(arguments) -> int``.

Nothing imports this package.
"""

"""`realtime-gateway up`: a RealtimeGateway resource as processes of this machine.

The way of a run: ``preflight`` checks and takes what is needed (program, ports, directory) → ``redis_plan`` and
``application_plan`` say what should run (pure, in the words of ``plan``) → ``run`` starts a ``process_group``, which
owns one ``child`` per process, follows the file with ``reconciling``, shows it with ``watching``, and stops it.
``launch`` and ``watchdog`` are scripts that see to it that nothing outlives a run. Nothing but ``cli`` imports this
package.
"""

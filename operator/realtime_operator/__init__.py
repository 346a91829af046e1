"""The control plane: the kopf operator that runs a RealtimeGateway on Kubernetes.

What belongs here: reading the cluster, deciding, applying. What does not: anything that runs in a Daphne pod.
Of ``realtime_gateway`` it may import ``resource``, ``hosts`` and ``errors`` only.
"""

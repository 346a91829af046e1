"""The RealtimeGateway resource: its typed spec with every default, its parser and the schema generated from it.

The contract between whoever runs processes (`up`, the operator) and the processes. Imports nothing of this project but
``errors``; nothing here reads the environment or starts anything.
"""

from realtime_gateway.resource.parsing import parse_resource
from realtime_gateway.resource.reading import load_resource
from realtime_gateway.resource.spec import GatewaySpec, RealtimeGateway

__all__ = ["GatewaySpec", "RealtimeGateway", "load_resource", "parse_resource"]

"""The host list: which Redis shards exist, and which of them owns a key.

Pure: no I/O, no clock. Shared by the layer, `up` and the operator; imports nothing of this project but ``errors``.
"""

from realtime_gateway.hosts.connection import check_connection
from realtime_gateway.hosts.document import HostList, Shard
from realtime_gateway.hosts.rendezvous import moved_share, owner
from realtime_gateway.hosts.signing import Comparison, Documents

__all__ = ["Comparison", "Documents", "HostList", "Shard", "check_connection", "moved_share", "owner"]

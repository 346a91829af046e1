"""Every condition and every reason, once: conditions, events, metrics and tests use these same words.

A reason is a name that people match in scripts and alerts: it is never changed, only added to.
"""

from __future__ import annotations

# The conditions of a resource.
READY = "Ready"
PROGRESSING = "Progressing"
DEGRADED = "Degraded"
REDIS_HEALTHY = "RedisHealthy"
HOSTS_SYNCED = "HostsSynced"
PAUSED = "Paused"

# Ready
ALL_SERVING = "AllServing"  # true: every gateway and worker pod that is wanted serves
GATEWAY_UNAVAILABLE = "GatewayUnavailable"  # fewer gateway or worker pods serve than wanted
REDIS_UNAVAILABLE = "RedisUnavailable"  # a shard has no primary that answers
INVALID_SPEC = "InvalidSpec"  # the resource has problems; nothing is changed until they are solved

# Progressing
PROVISIONING = "Provisioning"  # something is being made for the first time
ROLLING_OUT = "RollingOut"  # pods are being replaced by newer ones
RESHARDING = "Resharding"  # a host list is on its way to all processes, or an earlier one is being retired
SWITCHING_OVER = "SwitchingOver"  # a primary is being moved on purpose
UPGRADING_REDIS = "UpgradingRedis"  # Redis or Sentinel pods are being replaced, one at a time
DRAINING = "Draining"  # pods that end are closing their connections
SETTLED = "Settled"  # false: all is as it should be

# Degraded
IMAGE_PULL = "ImagePull"  # an image cannot be had
CRASH_LOOP = "CrashLoop"  # a container ends again and again
APPLICATION_IMPORT = "ApplicationImport"  # the ASGI application does not import
SECRET_MISSING = "SecretMissing"  # noqa: S105 - a Secret that the resource refers to, or its key, is not there
MOUNT_FAILED = "MountFailed"  # something else cannot be mounted into a pod
VOLUME_PENDING = "VolumePending"  # a volume is not bound
UNSCHEDULABLE = "Unschedulable"  # no node takes a pod
PODS_MISSING = "PodsMissing"  # a controller makes fewer pods than wanted, and has not said why
QUOTA_EXCEEDED = "QuotaExceeded"  # the namespace's quota does not allow an object or a pod
FORBIDDEN = "Forbidden"  # the operator lacks a right, or a policy refuses an object
FIELD_CONFLICT = "FieldConflict"  # another field manager holds a field that the operator needs
STORAGE_IMMUTABLE = "StorageImmutable"  # a StatefulSet's volumes cannot be changed in place
NOT_SERVED = "NotServed"  # the cluster does not know a kind of object that the spec asks for
AUTH_NOT_APPLIED = "AuthNotApplied"  # pods serve with another auth stack than the resource names
CERTIFICATES_UNUSABLE = "TlsSecretUnusable"  # the Secret with Redis's certificates is missing, or something in it is
CERTIFICATE_REFUSED = "CertificateRefused"  # no encrypted connection can be made with a Redis server or Sentinel
NAME_TAKEN = "NameTaken"  # an object of a name that is needed belongs to somebody else
REJECTED = "Rejected"  # the API server refuses an object for another reason
API_UNAVAILABLE = "ApiUnavailable"  # the API server did not answer; tried again
NOT_DEGRADED = "AsWanted"  # false: nothing stands in the way

# RedisHealthy
HEALTHY = "Healthy"  # true: every shard has its primary, its replicas and its Sentinels
REPLICA_MISSING = "ReplicaMissing"  # a shard works with fewer replicas than wanted
FAILOVER_IN_PROGRESS = "FailoverInProgress"  # the Sentinels are choosing a new primary
NO_QUORUM = "NoQuorum"  # too few Sentinels answer to decide on a failover
BOOTSTRAP_BLOCKED = "BootstrapBlocked"  # a shard has no primary, and choosing one could lose data
DATA_LOSS_POSSIBLE = "DataLossPossible"  # event: a primary is about to be chosen without having seen every server
DATA_LOST = "DataLost"  # a shard came back empty
SWITCHOVER_FAILED = "SwitchoverFailed"  # a planned switchover was given up; the primary stays, and it is tried again
UNKNOWN = "Unknown"  # a server did not answer
EXTERNAL = "External"  # unknown: the shards are run by somebody else, and not asked

# HostsSynced
SYNCED = "Synced"  # true: every process that has used the channel layer uses the present host list
WAITING_FOR_PROCESSES = "WaitingForProcesses"  # some processes use an earlier list; the message names them
SHARD_UNREACHABLE = "ShardUnreachable"  # a shard has not been told of the present list
HOSTS_CONFLICT = "HostsConflict"  # one epoch had two lists, or a shard a strange one; a newer one was made
HOSTS_PENDING = "NoHostList"  # no list yet: no shard is ready

# Paused
SUSPENDED = "Suspended"  # true: spec.suspend or the pause annotation is set
RUNNING = "Running"  # false

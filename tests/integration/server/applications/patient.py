"""The conversations, for clients who wait until they may say more."""

from conversations import application as talking

from realtime_gateway.resource.limits import ConnectionLimits, Limits, MessageRate
from realtime_gateway.security.limiting import UserLimiting

application = UserLimiting(talking, Limits(per_connection=ConnectionLimits(messages=MessageRate(1, 1, "delay"))))

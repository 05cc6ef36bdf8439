"""Where connections may go: what every source type asks before it connects to a host that a user names."""

from connectors.outbound.policy import CLOSED, OPEN, ForbiddenHostError, OutboundPolicy, allowed
from connectors.outbound.resolution import connect_to, resolve

__all__ = ["CLOSED", "OPEN", "ForbiddenHostError", "OutboundPolicy", "allowed", "connect_to", "resolve"]

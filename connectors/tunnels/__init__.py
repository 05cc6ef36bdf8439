"""SSH tunnels to databases that only a bastion can reach, the same for every source type."""

from connectors.tunnels.bastion import TUNNEL_FIELDS, UNTRIMMED, Bastion, bastion_of
from connectors.tunnels.reach import Endpoint, reach

__all__ = ["TUNNEL_FIELDS", "UNTRIMMED", "Bastion", "Endpoint", "bastion_of", "reach"]

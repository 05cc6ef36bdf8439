"""What an installation lets its sources reach. It goes with each connection's configuration, into every process."""

from dataclasses import dataclass
from pathlib import Path

from connectors.budget import OWN, Budget
from connectors.outbound import CLOSED, OutboundPolicy
from connectors.taps import AllowedTap
from connectors.tokens import OWN as OWN_TOKENS
from connectors.tokens import Tokens


@dataclass(frozen=True)
class Surroundings:
    """Without any: public hosts, no file of the server, and no program on it."""

    outbound: OutboundPolicy = CLOSED
    folders: tuple[Path, ...] = ()
    """Folders of the server, by their real paths, whose files sources may be."""
    budget: Budget = OWN
    """Of requests to the sources."""
    taps: tuple[AllowedTap, ...] = ()
    """Singer taps that sources may run. What a tap connects to, it decides itself."""
    tokens: Tokens = OWN_TOKENS
    """Of logins to the sources."""

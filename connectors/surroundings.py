"""What an installation lets its sources reach. It goes with each connection's configuration, into every process."""

from dataclasses import dataclass
from pathlib import Path

from connectors.budget import OWN, Budget
from connectors.outbound import CLOSED, OutboundPolicy


@dataclass(frozen=True)
class Surroundings:
    """Without any: public hosts, and no file of the server."""

    outbound: OutboundPolicy = CLOSED
    folders: tuple[Path, ...] = ()
    """Folders of the server, by their real paths, whose files sources may be."""
    budget: Budget = OWN
    """Of requests to the sources."""

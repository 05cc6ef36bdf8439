"""The frozen configuration of a REST source: its declaration, and the inputs that its texts refer to."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from connectors.budget import OWN, Budget
from connectors.outbound import CLOSED, OutboundPolicy
from connectors.rest.declaration import Declaration
from connectors.tokens import OWN as OWN_TOKENS
from connectors.tokens import Tokens


@dataclass(frozen=True)
class RestConfig:
    """``inputs``: texts by the names that the declaration has in braces."""

    declaration: Declaration
    inputs: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False, default=())
    """Values among the inputs that nobody may read."""
    outbound: OutboundPolicy = CLOSED
    budget: Budget = OWN
    tokens: Tokens = OWN_TOKENS

    @property
    def account(self) -> str:
        """The same for all that the API counts together. Of secrets it tells too little for anybody to find them."""
        hidden = hashlib.sha256(repr(sorted(self.secrets)).encode()).digest()[:4]
        shown = {name: text for name, text in self.inputs.items() if text not in self.secrets}
        told = repr((self.declaration.base_url, sorted(shown.items()), hidden))
        return hashlib.sha256(told.encode()).hexdigest()

    def __hash__(self) -> int:
        return hash((self.declaration.model_dump_json(), tuple(sorted(self.inputs.items()))))

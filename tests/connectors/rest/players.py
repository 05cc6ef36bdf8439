"""Every provider whose API is declared has a player here: a new one is a line."""

from tests.providers.ashby import AshbyPlayer
from tests.providers.chargebee import ChargebeePlayer
from tests.providers.github import GitHubPlayer
from tests.providers.hubspot import HubSpotPlayer
from tests.providers.intercom import IntercomPlayer
from tests.providers.linear import LinearPlayer
from tests.providers.player import Player
from tests.providers.stripe import StripePlayer
from tests.providers.zendesk import ZendeskPlayer

PLAYERS: dict[str, type[Player]] = {
    each.source_type: each
    for each in (
        AshbyPlayer,
        ChargebeePlayer,
        GitHubPlayer,
        HubSpotPlayer,
        IntercomPlayer,
        LinearPlayer,
        StripePlayer,
        ZendeskPlayer,
    )
}

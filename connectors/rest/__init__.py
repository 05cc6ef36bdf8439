"""APIs of JSON over HTTP, by a declaration of their resources."""

from connectors.rest.connector import RestApiConnector
from connectors.rest.providers import declared_connectors

__all__ = ["RestApiConnector", "declared_connectors"]

"""APIs of JSON over HTTP, by a declaration of their resources."""

from connectors.rest.connector import RestApiConnector

__all__ = ["RestApiConnector"]

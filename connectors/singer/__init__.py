"""Singer taps: programs of others that read a source and print its rows."""

from connectors.singer.connector import SingerConnector

__all__ = ["SingerConnector"]

"""Providers' APIs, one declaration each."""

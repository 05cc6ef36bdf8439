"""Logical replication: what PostgreSQL keeps for us, and how its log is read."""

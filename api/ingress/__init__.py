"""The public address of webhooks: providers' events, from their requests into the inboxes of the lake."""

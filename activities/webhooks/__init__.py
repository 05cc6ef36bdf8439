"""Events of providers, from the inbox into the table."""

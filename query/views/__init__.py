"""Views that the query endpoint offers over a source's tables, as SQL that runs beside the query itself."""

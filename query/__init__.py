"""Read-only SQL over a project's tables, on DuckDB."""

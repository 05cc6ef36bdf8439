"""The calls of the reference API as its clients make them: method, path, form, status, and the answer's fields.

``{source}`` and ``{schema}`` stand for ids. A form is sent as ``curl -d`` sends it, even where it means nothing.
"""

from typing import Any

SCHEMA: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "name": (str,),
    "label": (str, type(None)),
    "table": (dict, type(None)),
    "should_sync": (bool,),
    "last_synced_at": (str, type(None)),
    "latest_error": (str, type(None)),
    "incremental": (bool,),
    "status": (str, type(None)),
    "sync_type": (str, type(None)),
    "incremental_field": (str, type(None)),
    "incremental_field_type": (str, type(None)),
    "sync_frequency": (str,),
    "sync_time_of_day": (str, type(None)),
    "description": (str, type(None)),
    "primary_key_columns": (list, type(None)),
    "cdc_table_mode": (str,),
}
SOURCE: dict[str, tuple[type, ...]] = {
    "id": (str,),
    "created_at": (str,),
    "created_by": (str, type(None)),
    "status": (str,),
    "source_type": (str,),
    "latest_error": (str, type(None)),
    "prefix": (str,),
    "description": (str, type(None)),
    "access_method": (str,),
    "engine": (str,),
    "last_run_at": (str, type(None)),
    "schemas": (list,),
    "job_inputs": (dict,),
    "revenue_analytics_config": (dict,),
    "user_access_level": (str,),
    "supports_webhooks": (bool,),
}
"""Without ``client_secret`` and ``account_id``, which are never shown."""

PAGE: dict[str, tuple[type, ...]] = {
    "count": (int,),
    "next": (str, type(None)),
    "previous": (str, type(None)),
    "results": (list,),
}

VALID: dict[str, tuple[type, ...]] = {"valid": (bool,), "errors": (list,)}
SUCCESS: dict[str, tuple[type, ...]] = {"success": (bool,)}
STATUS: dict[str, tuple[type, ...]] = {
    "enabled": (bool,),
    "management_mode": (str,),
    "slot_name": (str,),
    "publication_name": (str,),
    "lag_warning_threshold_mb": (int,),
    "lag_critical_threshold_mb": (int,),
    "slot_exists": (bool,),
    "publication_exists": (bool,),
    "lag_bytes": (int,),
    "published_tables": (list,),
}

NAME, DESCRIPTION = "name=string", "client_secret=string&account_id=string"

Call = tuple[str, str, str | None, int, dict[str, Any] | None]

CALLS: list[Call] = [
    ("GET", "external_data_schemas/{schema}/", None, 200, SCHEMA),
    ("PATCH", "external_data_schemas/{schema}/", NAME, 200, SCHEMA),
    ("POST", "external_data_schemas/{schema}/incremental_fields/", NAME, 200, None),
    ("POST", "external_data_schemas/{schema}/reload/", NAME, 200, None),
    ("POST", "external_data_schemas/{schema}/cancel/", NAME, 200, None),
    ("POST", "external_data_schemas/{schema}/resync/", NAME, 200, None),
    ("DELETE", "external_data_schemas/{schema}/delete_data/", None, 204, None),
    ("GET", "external_data_sources/", None, 200, PAGE),
    ("GET", "external_data_sources/{source}/", None, 200, SOURCE),
    ("PATCH", "external_data_sources/{source}/", "created_at=string", 200, SOURCE),
    ("PATCH", "external_data_sources/{source}/bulk_update_schemas/", 'schemas=[{"id": "{schema}"}]', 200, PAGE),
    ("GET", "external_data_sources/{source}/jobs/", None, 200, None),
    ("POST", "external_data_sources/{source}/refresh_schemas/", DESCRIPTION, 200, None),
    ("POST", "external_data_sources/{source}/reload/", DESCRIPTION, 200, None),
    ("DELETE", "external_data_schemas/{schema}/", None, 204, None),
    ("DELETE", "external_data_sources/{source}/", None, 204, None),
]
"""In an order in which each finds what it needs."""

CDC: list[Call] = [
    ("POST", "external_data_sources/{source}/check_cdc_prerequisites_for_source/", DESCRIPTION, 200, VALID),
    ("GET", "external_data_sources/{source}/cdc_status/", None, 200, {"enabled": (bool,)}),
    ("POST", "external_data_sources/{source}/enable_cdc/", DESCRIPTION, 200, {"schedules_ready": (bool,), **SUCCESS}),
    ("POST", "external_data_sources/{source}/update_cdc_settings/", DESCRIPTION, 200, SUCCESS),
    ("GET", "external_data_sources/{source}/cdc_status/", None, 200, STATUS),
    ("POST", "external_data_sources/{source}/disable_cdc/", DESCRIPTION, 200, SUCCESS),
]
"""Change data capture, from nothing to nothing."""

UNSUPPORTED: list[Call] = [
    ("POST", "external_data_sources/{source}/create_webhook/", DESCRIPTION, 400, None),
    ("POST", "external_data_sources/{source}/delete_webhook/", DESCRIPTION, 400, None),
]
"""What succeeds only for source types that have webhooks."""

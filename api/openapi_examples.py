"""Examples for every body of the OpenAPI document, made from its schemas and a few telling values."""

from collections.abc import Mapping
from typing import Any

ID = "0190f5c6-7a3e-7c1d-9b2e-3f4a5b6c7d8e"
MOMENT = "2026-01-31T03:00:00Z"
WEBHOOK_URL = f"https://syncline.example.com/public/webhooks/dwh/{ID}"

SLOT = f"syncline_{ID.replace('-', '')}"

CONNECTION = {
    "host": "db.example.com",
    "port": 5432,
    "database": "shop",
    "user": "reader",
    "password": "secret",
    "schema": "public",
}
CUSTOMER = {
    "should_sync": True,
    "sync_type": "incremental",
    "incremental_field": "updated_at",
    "incremental_field_type": "timestamp",
    "sync_frequency": "15min",
}

MODELS: Mapping[str, Any] = {
    "SourceCreate": {
        "source_type": "Postgres",
        "prefix": "shop_",
        "payload": {**CONNECTION, "schemas": [{"name": "customer", **CUSTOMER}]},
    },
    "SourcePayload": {**CONNECTION, "schemas": [{"name": "customer", **CUSTOMER}]},
    "SourceChanges": {"description": "The shop's database", "job_inputs": {"user": "reader", "password": "secret"}},
    "SchemaChanges": CUSTOMER,
    "WebhookInputs": {"inputs": {"signing_secret": "whsec_secret"}},
    "WebhookMade": {"success": True, "webhook_url": WEBHOOK_URL, "error": None, "pending_inputs": []},
    "WebhookDeleted": {"success": True, "external_deleted": True, "error": None},
    "WebhookInputsKept": {"success": True, "error": None},
    "WebhookInfo": {
        "supports_webhooks": True,
        "exists": True,
        "webhook_url": WEBHOOK_URL,
        "schema_mapping": {"customers": ID},
        "inputs": {},
        "pending_inputs": [],
        "external_status": {
            "exists": True,
            "url": WEBHOOK_URL,
            "enabled_events": ["customer.created", "customer.updated"],
            "status": "enabled",
            "description": "Syncline",
            "created_at": MOMENT,
            "error": None,
        },
        "missing_events": ["customer.deleted"],
    },
    "CdcQuestion": {"cdc_management_mode": "managed", "tables": ["customer"]},
    "CdcConnection": {
        "source_type": "Postgres",
        **CONNECTION,
        "cdc_management_mode": "managed",
        "tables": ["customer"],
    },
    "CdcSetup": {"cdc_management_mode": "managed", "cdc_lag_critical_threshold_mb": 20480},
    "CdcSettings": {"cdc_lag_warning_threshold_mb": 2048, "cdc_delete_mode": "soft"},
    "CdcStatus": {
        "enabled": True,
        "management_mode": "managed",
        "slot_name": SLOT,
        "publication_name": SLOT,
        "lag_warning_threshold_mb": 1024,
        "lag_critical_threshold_mb": 10240,
        "auto_drop_slot": False,
        "delete_mode": "hard",
        "continuous": False,
        "slot_exists": True,
        "publication_exists": True,
        "slot_active": False,
        "wal_status": "reserved",
        "lag_bytes": 5200,
        "lag_seconds": 41.5,
        "retained_bytes": 16777216,
        "limit_bytes": None,
        "forecast_seconds": None,
        "published_tables": ["customer"],
        "captured_position": "16/B374D848",
        "captured_at": MOMENT,
        "latest_error": None,
        "tables": [
            {
                "id": ID,
                "name": "customer",
                "applied_position": "16/B374D848",
                "applied_at": MOMENT,
                "status": "Completed",
            }
        ],
        "events": [{"at": MOMENT, "level": "info", "message": "Enabled.", "fields": {"event": "enabled"}}],
    },
    "BulkChanges": {"schemas": [{"id": ID, **CUSTOMER}]},
}
"""Bodies that say more than their fields would one by one."""

FIELDS: Mapping[str, Any] = {
    "source_type": "Postgres",
    "prefix": "shop_",
    "label": "customer",
    "created_by": "ops",
    "status": "Completed",
    "sync_type": "incremental",
    "incremental_field": "updated_at",
    "incremental_field_type": "timestamp",
    "field": "updated_at",
    "field_type": "timestamp",
    "type": "timestamp with time zone",
    "access_method": "warehouse",
    "engine": "duckdb",
    "name": "customer",
    "key": "customer",
    "description": "The shop's customers",
    "url_pattern": "s3://lake/project_1/postgres_shop_customer",
    "row_count": 1200,
    "rows_synced": 1200,
    "sync_time_of_day": "03:00:00",
    "primary_key_columns": ["id"],
    "detected_primary_keys": ["id"],
    "enabled_columns": ["name"],
    "row_filter": [{"column": "country", "op": "=", "value": "NL"}],
    "type_overrides": {"balance": "decimal(18,2)"},
    "job_inputs": {"host": "db.example.com", "port": 5432, "database": "shop", "user": "reader", "schema": "public"},
    "user_access_level": "manager",
    "role": "editor",
    "scopes": ["external_data_source:read"],
    "workflow_id": f"sync-{ID}",
    "workflow_run_id": ID,
    "trigger": "schedule",
    "latest_error": None,
    "next": None,
    "previous": None,
    "query": "SELECT count(*) FROM postgres_shop_customer",
    "checks": {"database": "ok", "temporal": "ok", "lake": "ok"},
    "warnings": [],
    "message": "Published 1,200 rows.",
    "level": "info",
    "secret": "slk_shown-only-once",
}
"""By the name of a field, where its schema lets it have this value."""

FORMATS = {"uuid": ID, "date-time": MOMENT, "time": "03:00:00", "date": "2026-01-31", "uri": "https://example.com/"}
JSON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


class Examples:
    """Over the models of one document."""

    def __init__(self, models: Mapping[str, Any]) -> None:
        self._models = models

    def add_to(self, operation: dict[str, Any]) -> None:
        """An example for each body that the call takes or answers."""
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for content in (body.get("content", {}) for body in bodies):
            for kind, media in content.items():
                if (
                    "example" not in media
                    and "examples" not in media
                    and kind.partition(";")[0]
                    in (
                        "application/json",
                        "application/x-www-form-urlencoded",
                    )
                ):
                    media["example"] = self.of(media.get("schema", {}))

    def of(self, schema: Mapping[str, Any], field: str = "") -> Any:
        """A value that the schema lets through."""
        if reference := schema.get("$ref"):
            name = reference.rpartition("/")[2]
            return MODELS[name] if name in MODELS else self.of(self._models[name], field)
        if schema.get("examples"):
            return schema["examples"][0]
        if field in FIELDS and self._fits(FIELDS[field], schema):
            return FIELDS[field]
        if "const" in schema or "enum" in schema:
            return schema["const"] if "const" in schema else schema["enum"][0]
        if schema.get("default") is not None:
            return schema["default"]
        for choices in (schema.get("anyOf"), schema.get("oneOf"), schema.get("allOf")):
            if choices:
                return self.of(next((c for c in choices if c.get("type") != "null"), choices[0]), field)
        return self._plain(schema, field)

    def _plain(self, schema: Mapping[str, Any], field: str) -> Any:
        kind = schema.get("type")
        if kind == "object":
            return {name: self.of(part, name) for name, part in schema.get("properties", {}).items()}
        if kind == "array":
            return [self.of(schema["items"], field)] if schema.get("items") else []
        if kind == "string":
            return FORMATS.get(schema.get("format", ""), "text")
        numbers = {"integer": 1, "number": 1.5}
        if kind in numbers:
            return schema.get("minimum", numbers[kind])
        return True if kind == "boolean" else None

    def _fits(self, value: Any, schema: Mapping[str, Any]) -> bool:
        """Roughly: the type is right, and the choice is one."""
        if reference := schema.get("$ref"):
            return self._fits(value, self._models[reference.rpartition("/")[2]])
        if choices := schema.get("anyOf"):
            return any(self._fits(value, choice) for choice in choices)
        if "enum" in schema:
            return value in schema["enum"]
        return isinstance(value, JSON_TYPES.get(schema.get("type", ""), (object,)))

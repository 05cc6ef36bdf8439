"""The tables of an API: what its declaration says of them. Nothing is asked for."""

from connectors.base import DiscoveredTable, IncrementalField
from connectors.cursor import field_type_of
from connectors.inference.columns import type_name
from connectors.rest.columns import declared_columns, discovered
from connectors.rest.declaration import Declaration, Resource


def tables(declaration: Declaration) -> list[DiscoveredTable]:
    return sorted((described(each) for each in declaration.resources), key=lambda table: table.name)


def described(resource: Resource) -> DiscoveredTable:
    """With the columns that are declared; those that are inferred come with the rows."""
    return DiscoveredTable(
        name=resource.name,
        kind="table",
        columns=discovered(resource),
        primary_key=resource.primary_key,
        incremental_fields=_incremental_fields(resource),
        description=resource.description,
    )


def _incremental_fields(resource: Resource) -> tuple[IncrementalField, ...]:
    if resource.incremental is None:
        return ()
    name = resource.incremental.field
    kind = declared_columns(resource)[name]
    field_type = field_type_of(kind) or ""
    is_filtered = resource.incremental.param is not None
    return (IncrementalField(name, field_type, name, type_name(kind), nullable=True, is_indexed=is_filtered),)

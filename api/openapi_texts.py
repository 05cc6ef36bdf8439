"""What the OpenAPI document says to people beside what the routes and bodies say of themselves."""

LICENSE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}

INTRODUCTION = """\
A *source* is a database, a *schema* one of its tables, a *job* one run of a schema. Every call is made in
a project, with a key of it: `Authorization: Bearer <key>`.

Paths work with and without their last slash. Bodies are JSON or forms; unknown fields are ignored; in a PATCH an absent
field stays as it is and `null` brings back its default. Calls that take no body ignore what is sent. Lists take `limit`
and `offset` and answer `{count, next, previous, results}`, newest first. Times are ISO 8601 in UTC.

Every error is `{type, code, detail, attr}`: `detail` is a sentence to show, `attr` the path of the field to look at.
"""

TAGS = {
    "external_data_sources": "Databases: how they are reached, and which tables they have.",
    "external_data_schemas": "The tables of sources: what is copied of each, how and when, and how that went.",
    "query": "Read-only SQL over the project's tables.",
    "projects": "Tenants of this installation, for an instance key.",
    "api_keys": "The keys of a project. A key's secret is shown once.",
    "health": "Is the process alive, can it work, and how is it doing? No key is needed.",
}

PARAMETERS = {
    "project_id": "The project's number.",
    "id": "The object's id.",
    "key_id": "The key's id.",
    "limit": "How many at most.",
    "offset": "How many to leave out.",
    "search": "Part of a name, whatever its case.",
    "source_id": "Only those of this source.",
    "status": "Only those in this state.",
    "sync_type": "Only those that are copied in this way.",
    "should_sync": "Only those that are enabled, or only those that are not.",
    "after": "Only what is newer than this time, exclusive.",
    "before": "Only what is older than this time, exclusive.",
    "level": "Only lines of these levels, separated by commas.",
    "job_id": "Only lines of this job.",
}

BODY = "JSON, or a form in which lists and objects are written as JSON. Unknown fields are ignored."

SUCCESS = {"200": "Done.", "201": "Made.", "202": "Accepted.", "204": "Done; there is no body."}

MADE_WITHIN = {
    "external_data_sources_create": ("/api/projects/{project_id}/external_data_schemas/", "/schemas/0/id"),
}
"""What else a call makes: the collection that it is in, and where its id stands in the answer."""

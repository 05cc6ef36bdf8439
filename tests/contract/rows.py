"""Every row of the contract's tables, and the tests that prove it with its errors.

What holds for each call alike (keys, scopes, foreign and unknown ids, bad bodies and pages, the document) is proved
for all of them by the generated tests of this package.
"""

SOURCES: dict[str, tuple[str, ...]] = {
    "list": ("api/test_sources::test_a_list_has_pages_newest_first_and_can_be_searched",),
    "retrieve": (
        "api/test_sources::test_secrets_never_come_back",
        "api/test_sources::test_status_and_error_come_from_the_enabled_schemas",
    ),
    "create": (
        "api/test_sources::test_without_schemas_every_table_is_found_and_none_enabled",
        "api/test_sources::test_named_schemas_get_their_settings_and_their_first_run",
        "api/test_sources::test_a_wrong_setting_of_a_schema_is_named_and_nothing_stays",
        "api/test_sources::test_a_login_that_fails_says_why_without_the_drivers_words",
        "api/test_sources::test_a_prefix_is_free_or_not_the_blank_one_too",
        "api/test_concurrency::test_one_source_gets_the_prefix",
        "api/test_cdc::test_a_source_can_be_made_with_it",
        "api/test_cdc::test_a_wrong_plan_makes_nothing",
    ),
    "partial_update": (
        "api/test_sources::test_prefix_and_access_method_are_fixed",
        "api/test_sources::test_inputs_merge_and_a_blank_secret_keeps_the_stored_one",
        "api/test_sources::test_new_inputs_are_tried_before_they_are_stored",
        "api/test_sources::test_a_stored_secret_never_goes_to_another_host",
    ),
    "destroy": (
        "api/test_sources::test_a_deleted_source_is_gone_with_its_schemas",
        "api/test_cdc::test_a_deleted_source_has_its_capture_removed",
        "integration/test_control::test_deleting_a_source_deletes_its_tables",
        "integration/test_outbox::test_an_api_killed_while_it_deletes_leaves_nothing_behind",
    ),
    "reload": ("api/test_schemas::test_reloading_a_source_starts_every_enabled_schema",),
    "refresh_schemas": (
        "api/test_sources::test_refreshing_finds_new_tables_and_drops_those_that_never_synced",
        "api/test_sources::test_refreshing_an_unreachable_source_changes_nothing",
    ),
    "bulk_update_schemas": (
        "api/test_bulk::test_each_schema_gets_its_own_settings",
        "api/test_bulk::test_the_answer_to_a_bulk_change_is_that_to_single_ones",
        "api/test_bulk::test_one_wrong_change_spoils_all_and_is_named",
        "api/test_bulk::test_nothing_to_change_is_refused",
        "api/test_bulk::test_a_schema_named_twice_is_refused",
        "api/test_bulk::test_a_schema_of_another_source_is_none_of_this_one",
    ),
    "jobs": ("api/test_sources::test_jobs_are_listed_newest_first_and_filtered",),
    "create_webhook": ("api/test_webhooks::test_a_type_without_webhooks_is_refused",),
    "delete_webhook": ("api/test_webhooks::test_a_type_without_webhooks_is_refused",),
    "webhook_info": ("api/test_webhooks::test_there_is_nothing_to_see",),
    "update_webhook_inputs": (
        "api/test_webhooks::test_a_type_without_webhooks_is_refused",
        "api/test_webhooks::test_bad_inputs",
    ),
    "revenue_analytics_config": (
        "api/test_setup::test_revenue_analytics",
        "api/test_setup::test_revenue_analytics_takes_booleans_only",
    ),
    "database_schema": (
        "api/test_setup::test_the_tables_that_a_source_would_have",
        "api/test_setup::test_its_answers_make_a_source",
        "api/test_setup::test_a_wrong_connection_is_named",
    ),
    "preview_resource": (
        "api/test_preview::test_the_first_rows_with_the_types_that_they_have",
        "api/test_preview::test_what_cannot_be_looked_at",
    ),
    "source_prefix": (
        "api/test_setup::test_a_prefix_is_free_until_it_is_taken",
        "api/test_setup::test_what_no_prefix_can_be",
    ),
    "wizard": (
        "api/test_setup::test_the_wizard_knows_every_source_type",
        "api/test_setup::test_no_source_type_promises_what_nothing_here_does",
    ),
    "connections": ("api/test_query::test_a_direct_source_is_never_copied",),
    "check_cdc_prerequisites": (
        "api/test_cdc::test_what_stands_in_the_way_is_named_with_its_fix",
        "api/test_cdc::test_nothing_stands_in_the_way_of_good_tables",
        "api/test_cdc::test_bad_tables_are_problems",
        "api/test_cdc_routes::test_a_wrong_question_is_refused",
        "api/test_cdc_routes::test_a_type_that_cannot_says_so_before_a_source_is_made",
    ),
    "check_cdc_prerequisites_for_source": (
        "api/test_cdc::test_nothing_stands_in_the_way_of_good_tables",
        "api/test_cdc::test_a_source_that_is_away_is_400",
        "api/test_cdc_routes::test_a_wrong_question_about_a_source_is_refused",
        "api/test_cdc_routes::test_a_type_that_cannot_says_so_of_a_source",
    ),
    "enable_cdc": (
        "api/test_cdc::test_enabling_makes_slot_and_publication",
        "api/test_cdc::test_slot_and_publication_may_be_the_users_own",
        "api/test_cdc::test_of_many_who_enable_at_once_one_wins_and_keeps_its_slot",
        "api/test_cdc::test_a_database_that_fails_leaves_nothing_behind",
        "api/test_cdc::test_a_slot_that_is_somebody_elses_stays",
        "api/test_cdc_routes::test_bad_settings",
    ),
    "disable_cdc": (
        "api/test_cdc::test_disabling_leaves_tables_and_data",
        "api/test_cdc_routes::test_disabling_what_is_not_enabled_is_done_already",
    ),
    "update_cdc_settings": (
        "api/test_cdc::test_settings_change_one_by_one",
        "api/test_cdc_routes::test_there_are_no_settings_to_change",
        "api/test_cdc_routes::test_bad_settings",
    ),
    "cdc_status": (
        "api/test_cdc::test_the_status_shows_how_far_it_came",
        "api/test_cdc::test_events_are_the_newest_twenty",
        "api/test_cdc::test_a_source_that_is_away_is_400",
        "api/test_cdc_routes::test_its_status",
    ),
}

CHANGES = (
    "api/test_schemas::test_settings_change_one_by_one",
    "api/test_schemas::test_a_wrong_setting_is_named_and_changes_nothing",
    "api/test_concurrency::test_no_setting_is_lost",
)
SCHEMAS: dict[str, tuple[str, ...]] = {
    "list": ("api/test_schemas::test_a_list_is_filtered",),
    "retrieve": ("api/test_schemas::test_the_table_is_shown_once_it_is_there",),
    "partial_update": CHANGES,
    "update": CHANGES,
    "destroy": (
        "api/test_schemas::test_deleting_takes_the_schedule_along",
        "integration/test_control::test_deleting_a_schema_leaves_nothing_in_the_lake",
    ),
    "reload": (
        "api/test_schemas::test_reload_starts_a_run",
        "integration/test_control::test_ten_reloads_at_once_give_one_further_run",
    ),
    "resync": (
        "integration/test_control::test_a_resync_during_a_run_stops_it_and_rebuilds",
        "integration/test_control::test_readers_keep_the_old_rows_until_a_resync_is_whole",
    ),
    "cancel": (
        "api/test_schemas::test_cancel_signals_the_run_or_conflicts",
        "integration/test_control::test_a_large_read_is_cancelled_within_five_seconds",
    ),
    "delete_data": ("integration/test_control::test_delete_data_forgets_everything_and_the_next_run_is_a_first_load",),
    "incremental_fields": ("api/test_schemas::test_incremental_fields_come_live_from_the_source",),
    "logs": (
        "api/test_logs::test_lines_come_newest_first_with_all_their_fields",
        "api/test_logs::test_filters",
        "api/test_logs::test_bad_parameters",
    ),
}

PROJECTS: dict[str, tuple[str, ...]] = {
    "list": ("api/test_projects::test_a_project_is_made_shown_renamed_and_listed_newest_first",),
    "create": ("api/test_projects::test_a_project_needs_a_name",),
    "retrieve": ("api/test_projects::test_only_an_instance_key_sees_projects",),
    "partial_update": ("api/test_projects::test_a_project_is_made_shown_renamed_and_listed_newest_first",),
    "destroy": (
        "api/test_projects::test_a_deleted_project_is_gone_with_its_sources_its_keys_and_its_data",
        "api/test_projects::test_the_project_of_the_key_in_use_cannot_be_deleted_with_it",
    ),
}
KEYS: dict[str, tuple[str, ...]] = {
    "list": ("api/test_api_keys::test_a_list_of_keys_is_a_page",),
    "create": (
        "api/test_api_keys::test_a_key_gives_away_no_more_than_it_has",
        "api/test_api_keys::test_a_wrong_body_makes_no_key",
    ),
    "retrieve": ("api/test_api_keys::test_a_key_is_made_works_is_shown_without_its_secret_and_ends",),
    "destroy": ("api/test_api_keys::test_the_key_of_the_call_and_mightier_ones_are_not_revoked",),
    "destroy_many": ("api/test_api_keys::test_several_keys_are_revoked_at_once_or_none_of_them",),
}
QUERY: dict[str, tuple[str, ...]] = {
    "query": (
        "api/test_query::test_json",
        "api/test_query::test_csv_and_arrow",
        "api/test_query::test_what_is_refused",
        "api/test_query::test_other_projects_tables_do_not_exist",
        "query/test_guard::test_the_guard_refuses",
    ),
}
HEALTH: dict[str, tuple[str, ...]] = {
    "live": ("api/test_health::test_it_lives_and_names_what_is_away",),
    "ready": (
        "api/test_health::test_ready_says_what_works",
        "api/test_health::test_it_lives_and_names_what_is_away",
    ),
    "metrics": ("api/test_metrics::test_how_the_installation_does",),
}

CALLS: dict[str, tuple[str, ...]] = {
    f"{tag}_{name}": tests
    for tag, rows in {
        "external_data_sources": SOURCES,
        "external_data_schemas": SCHEMAS,
        "projects": PROJECTS,
        "api_keys": KEYS,
        "query": QUERY,
        "health": HEALTH,
    }.items()
    for name, tests in rows.items()
}

RULES_OF_PATCH: dict[int, tuple[str, ...]] = {
    1: ("api/test_schema_rules::test_a_broken_rule_names_its_setting",),
    2: ("integration/test_changes::test_another_cursor_starts_at_the_tables_own_maximum",),
    3: (
        "integration/test_changes::test_the_key_changes_only_without_data",
        "integration/test_changes::test_modes_switched_over_data",
    ),
    4: (
        "api/test_schema_rules::test_a_broken_rule_names_its_setting",
        "api/test_cdc::test_a_table_can_be_captured_once_its_source_is",
    ),
    5: (
        "api/test_schemas::test_disabling_pauses_the_schedule_and_stops_the_run",
        "integration/test_changes::test_disabling_stops_the_run_and_enabling_goes_on",
    ),
    6: (
        "api/test_schemas::test_enabling_makes_the_schedule_and_starts_a_run",
        "api/test_schemas::test_another_frequency_changes_the_schedule_and_starts_nothing",
    ),
    7: (
        "api/test_schema_rules::test_a_broken_rule_names_its_setting",
        "api/test_cdc::test_a_table_can_be_captured_once_its_source_is",
        "api/test_cdc::test_a_table_that_cannot_be_captured",
        "api/test_cdc::test_the_source_is_asked_before_a_table_is_captured",
    ),
    8: (
        "api/test_schema_rules::test_unknown_columns_are_named_in_order",
        "integration/test_changes::test_columns_go_without_a_row_and_come_back_filled",
        "integration/test_changes::test_row_filters_wider_narrower_and_cleared",
    ),
}

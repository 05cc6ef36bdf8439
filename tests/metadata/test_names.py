import uuid

from metadata.names import history_name, history_path, table_name, table_path

SCHEMA_ID = uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")


def test_a_table_is_named_by_prefix_type_and_schema() -> None:
    assert table_name("", "postgres", "orders") == "postgres_orders"
    assert table_name("Shop_", "postgres", "public.Order Items") == "shop_postgres_public_order_items"
    assert table_name("", "mysql", 'naïve"; drop') == "mysql_na_ve___drop"


def test_a_path_belongs_to_one_project_and_schema() -> None:
    assert table_path(7, "postgres_orders", SCHEMA_ID) == "project_7/postgres_orders_0123456789ab"
    assert table_path(7, "postgres_orders", str(SCHEMA_ID)) == table_path(7, "postgres_orders", SCHEMA_ID)


def test_a_folder_name_fits_a_file_system() -> None:
    folder = table_path(1, "x" * 600, SCHEMA_ID).split("/")[1]
    assert len(folder) < 255
    assert folder.endswith("_0123456789ab")


def test_a_history_lies_beside_its_main_table() -> None:
    name = table_name("", "postgres", "orders")
    assert history_name(name) == "postgres_orders_cdc"
    assert history_path(table_path(7, name, SCHEMA_ID)) == "project_7/postgres_orders_0123456789ab_cdc"
    assert len(history_path(table_path(1, "x" * 600, SCHEMA_ID)).split("/")[1]) < 255

from tests.connectors.types_page import PAGE, page


def test_the_page_says_what_the_tests_prove() -> None:
    assert PAGE.read_text() == page(), "docs/types.md is stale: make types-page"

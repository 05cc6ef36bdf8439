from collections.abc import Iterator

import pytest

from tests.connectors.rest.library import Library
from tests.providers.server import running


@pytest.fixture
def library() -> Iterator[Library]:
    with running() as provider:
        yield Library(provider)

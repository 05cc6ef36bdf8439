"""How sources turn a login down: in one sentence that tells no secret."""

from typing import Any

import pytest

from connectors.errors import SourceError
from tests.connectors.databases import DatabaseSource

SECRET = "s3cret-päss'wörd"
"""The password of the accounts that are turned down."""
QUOTED_SECRET = "'" + SECRET.replace("'", "''") + "'"


def refusal(source: DatabaseSource[Any, Any], **changes: Any) -> SourceError:
    with pytest.raises(SourceError) as caught:
        source.connector.validate(source.config(**changes))
    message = caught.value.message
    assert message.endswith(".")
    assert "\n" not in message
    assert "FATAL" not in message, "a server's words"
    assert SECRET not in message
    return caught.value


def facts(error: SourceError) -> tuple[type[SourceError], str | None]:
    return type(error), error.attr


def check_untold(error: BaseException, secret: str = SECRET) -> None:
    """Nor does the log learn of it."""
    chain: BaseException | None = error
    while chain is not None:
        assert secret not in str(chain)
        chain = chain.__cause__ or chain.__context__

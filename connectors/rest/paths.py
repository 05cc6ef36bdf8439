"""JMESPath over answers, whose numbers are kept as they were written."""

import re
from decimal import Decimal
from functools import lru_cache
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult

from connectors.errors import SourceError
from connectors.inference.texts import Literal

_PLAIN = re.compile(r'[\w.\-"@*\[\]]+')


def is_plain(expression: str) -> bool:
    """It only leads somewhere: nothing is compared or computed."""
    return _PLAIN.fullmatch(expression) is not None


@lru_cache(maxsize=1000)
def compiled(expression: str) -> ParsedResult:
    """``JMESPathError`` where it is none."""
    return jmespath.compile(expression)


def found(expression: str, value: Any) -> Any:
    """What is there. Where something is computed numbers are numbers, and else as they were written."""
    try:
        return compiled(expression).search(value if is_plain(expression) else _with_numbers(value))
    except (JMESPathError, TypeError) as error:
        raise SourceError(f"The expression {expression} does not fit what the API answers.") from error


def _with_numbers(value: Any) -> Any:
    if isinstance(value, Literal):
        number = Decimal(value)
        return int(number) if number == number.to_integral_value() else float(number)
    if isinstance(value, dict):
        return {name: _with_numbers(each) for name, each in value.items()}
    return [_with_numbers(each) for each in value] if isinstance(value, list) else value

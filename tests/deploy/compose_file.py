"""deploy/compose.yaml as Docker Compose would read it: variables put in, names without a value taken or left out."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
COMPOSE = DEPLOY / "compose.yaml"
ENV_EXAMPLE = DEPLOY / "env.example"

_VARIABLE = re.compile(r"\$(?:(?P<escaped>\$)|\{(?P<name>\w+)(?:(?P<operator>:?[-?])(?P<operand>[^}]*))?\})")
_ASSIGNMENT = re.compile(r"(?P<name>[A-Z][A-Z0-9_]*)=(?P<value>.*)")


class MissingVariableError(Exception):
    """What ``${NAME:?message}`` says where NAME is not set."""


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    def replace(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        value, operator = variables.get(match["name"]), match["operator"] or ""
        if value or (value is not None and ":" not in operator):
            return value
        if operator.endswith("?"):
            raise MissingVariableError(match["operand"])
        return match["operand"] if operator.endswith("-") else ""

    return _VARIABLE.sub(replace, text)


def read_env_file(text: str, given: Mapping[str, str]) -> dict[str, str]:
    """The assignments of an env file, ``given`` ones winning; a value may use the variables above it."""
    variables = dict(given)
    for line in text.splitlines():
        if assignment := _ASSIGNMENT.fullmatch(line):
            variables.setdefault(assignment["name"], interpolate(assignment["value"], variables))
    return variables


def load_compose(variables: Mapping[str, str]) -> dict[str, Any]:
    """The whole file, merged and interpolated."""
    document = _walk(yaml.safe_load(COMPOSE.read_text()), variables)
    for service in document["services"].values():
        environment = service.get("environment", {})
        for name in [name for name, value in environment.items() if value is None]:
            environment.pop(name)
            if name in variables:
                environment[name] = variables[name]
    assert isinstance(document, dict)
    return document


def _walk(node: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _walk(value, variables) for key, value in node.items()}
    if isinstance(node, list):
        return [_walk(value, variables) for value in node]
    return interpolate(node, variables) if isinstance(node, str) else node

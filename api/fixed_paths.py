"""Paths with a name where others have an id: ``/wizard/`` beside ``/{id}/``."""

from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope


class FixedPath(APIRoute):
    """The one call of its path: another method there is 405, and the name is never taken for an id that nobody has."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child_scope = super().matches(scope)
        return (Match.FULL if match is Match.PARTIAL else match), child_scope

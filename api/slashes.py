"""Both forms of a path work: without its trailing slash it is taken for the one with it, and nothing is redirected."""

from starlette.types import ASGIApp, Receive, Scope, Send


class TrailingSlash:
    """Routes below ``/api/`` are declared with the slash."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/api/") and not scope["path"].endswith("/"):
            scope = {**scope, "path": scope["path"] + "/", "raw_path": scope["raw_path"] + b"/"}
        await self._app(scope, receive, send)

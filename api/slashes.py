"""Both forms of a path work, with a trailing slash and without, and nothing is redirected."""

from starlette.types import ASGIApp, Receive, Scope, Send


class TrailingSlash:
    """Routes below ``/api/`` are declared with the slash, all others without; the other form is taken for it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            end = "/" if scope["path"].startswith("/api/") or scope["path"] == "/" else ""
            path, raw_path = scope["path"].removesuffix("/"), scope["raw_path"].removesuffix(b"/")
            scope = {**scope, "path": path + end, "raw_path": raw_path + end.encode()}
        await self._app(scope, receive, send)

"""The page at ``/docs``. Its scripts come from this server: it works in a network without internet."""

from importlib.resources import as_file, files

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.staticfiles import StaticFiles

ASSETS = "/docs/assets"


def install(app: FastAPI, path: str = "/docs") -> None:
    """Show the app's OpenAPI document to people."""
    with as_file(files("fastapi_offline") / "static") as folder:
        app.mount(ASSETS, StaticFiles(directory=folder), name="docs_assets")
    page = get_swagger_ui_html(
        openapi_url=app.openapi_url or "",
        title=app.title,
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{ASSETS}/favicon.png",
        swagger_ui_parameters={"persistAuthorization": True, "docExpansion": "none"},
    )
    app.add_route(path, lambda _: page, include_in_schema=False)

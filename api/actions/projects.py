"""Projects, as an instance key looks after them."""

from api.actions.runs import remove
from api.auth import Caller
from api.backend import Backend
from api.bodies.administration import ProjectBody, ProjectChanges, ProjectCreate
from api.errors import ConflictError, NotFoundError
from metadata.captures import ended_captures
from metadata.models import Project
from metadata.projects import create_project, delete_project, get_project

CAPTURES_AT_ONCE = 50
"""Of a deleted project; the reconciler has the others removed."""


def create(backend: Backend, body: ProjectCreate) -> ProjectBody:
    with backend.database.transaction() as session:
        return project_body(create_project(session, body.name))


def change(backend: Backend, caller: Caller, body: ProjectChanges) -> ProjectBody:
    with backend.database.transaction() as session:
        project = get_project(session, caller.project_id, lock=True)
        if project is None:
            raise NotFoundError
        if "name" in body.given():
            project.name = body.name
            session.add(project)
        return project_body(project)


def delete(backend: Backend, caller: Caller) -> None:
    """With all sources, their data and their keys; not the one that this very key belongs to."""
    if caller.project_id == caller.home_id:
        raise ConflictError(
            "The key of this call belongs to this project: delete it with an instance key of another.", code="in_use"
        )
    with backend.database.transaction() as session:
        left = delete_project(session, caller.project_id)
        captured = ended_captures(session, caller.project_id, CAPTURES_AT_ONCE)
    if left is None:
        raise NotFoundError
    remove(backend, left)
    for source_id in captured:
        if not backend.relay.capture_changed(caller.project_id, source_id):
            break


def project_body(project: Project) -> ProjectBody:
    return ProjectBody.model_validate(project, from_attributes=True)

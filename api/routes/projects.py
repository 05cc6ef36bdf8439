"""``/api/projects/``"""

from typing import Annotated

from fastapi import APIRouter, Depends, status

from api.actions import projects
from api.auth import InstanceManager, InstanceReader, ProjectManager, ProjectReader
from api.backend import BackendDep
from api.bodies.administration import ProjectBody, ProjectChanges, ProjectCreate
from api.bodies.reading import documented, reader
from api.errors import NotFoundError
from api.pagination import Page, PageDep
from metadata.projects import count_projects, get_project, list_projects

router = APIRouter(prefix="/api/projects", tags=["projects"])

New = Annotated[ProjectCreate, Depends(reader(ProjectCreate))]
Changes = Annotated[ProjectChanges, Depends(reader(ProjectChanges))]


@router.get("/", name="list")
def index(backend: BackendDep, caller: InstanceReader, page: PageDep) -> Page[ProjectBody]:
    """All projects of this installation, newest first."""
    with backend.database.read() as session:
        found = list_projects(session, page.limit, page.offset)
        return page.page(count_projects(session), [projects.project_body(project) for project in found])


@router.post("/", name="create", status_code=status.HTTP_201_CREATED, openapi_extra=documented(ProjectCreate))
def create(backend: BackendDep, caller: InstanceManager, body: New) -> ProjectBody:
    """Make a project. It has no key of its own yet."""
    return projects.create(backend, body)


@router.get("/{project_id}/", name="retrieve")
def retrieve(backend: BackendDep, caller: ProjectReader) -> ProjectBody:
    """One project."""
    with backend.database.read() as session:
        project = get_project(session, caller.project_id)
    if project is None:
        raise NotFoundError
    return projects.project_body(project)


@router.patch("/{project_id}/", name="partial_update", openapi_extra=documented(ProjectChanges))
def change(backend: BackendDep, caller: ProjectManager, body: Changes) -> ProjectBody:
    """Give it another name."""
    return projects.change(backend, caller, body)


@router.delete("/{project_id}/", name="destroy", status_code=status.HTTP_204_NO_CONTENT)
def destroy(backend: BackendDep, caller: ProjectManager) -> None:
    """Stop its runs, delete its schedules, its lake data, its sources, its keys and itself."""
    projects.delete(backend, caller)

"""Change data capture of a source, whose type says whether it can have any."""

import uuid

from api.auth import Caller
from api.backend import Backend
from api.bodies.cdc import CdcConnection, CdcPrerequisites, CdcProblem
from api.errors import InvalidError, invalid_source
from api.inputs import declared_inputs, known_connector
from api.objects import live_source
from connectors.errors import SourceError

FIX = "Copy its tables as incremental, append or full_refresh."


def prerequisites(body: CdcConnection) -> CdcPrerequisites:
    """Of a source that is not there yet. Its fields are checked, without a login, which would decide nothing."""
    connector = known_connector(body.source_type)
    try:
        connector.parse_config(declared_inputs(connector, body.inputs()))
    except SourceError as error:
        raise invalid_source(error, "") from error
    return _unavailable(body.source_type)


def prerequisites_of_source(backend: Backend, caller: Caller, source_id: uuid.UUID) -> CdcPrerequisites:
    return _unavailable(live_source(backend, caller, source_id).source_type)


def refusal(backend: Backend, caller: Caller, source_id: uuid.UUID) -> InvalidError:
    """Why it cannot be enabled for this source."""
    return InvalidError(_sentence(live_source(backend, caller, source_id).source_type), code="unsupported")


def not_enabled() -> InvalidError:
    """Why a source has no settings of it."""
    return InvalidError("Change data capture is not enabled for this source.", code="cdc_not_enabled")


def _unavailable(source_type: str) -> CdcPrerequisites:
    problem = CdcProblem(code="unsupported", message=_sentence(source_type), fix=FIX)
    return CdcPrerequisites(valid=False, errors=[problem])


def _sentence(source_type: str) -> str:
    return f"Change data capture is not available for sources of the type {source_type} in this version."

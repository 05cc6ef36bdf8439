"""Recorded runs replay: a change of a workflow that would break a run under way is found here."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from tests.workflows import changed, forgetful
from tests.workflows.record import HISTORIES
from tests.workflows.sandbox import workflow_runner
from worker import WORKFLOWS

RECORDED = sorted(HISTORIES.glob("*.json"))


def replay(path: Path, workflows: Sequence[type]) -> None:
    recorded = json.loads(path.read_text())
    history = WorkflowHistory.from_json(recorded.pop("workflow_id"), recorded)
    asyncio.run(Replayer(workflows=workflows, workflow_runner=workflow_runner()).replay_workflow(history))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_run_replays(path: Path) -> None:
    replay(path, WORKFLOWS)


def test_each_workflow_is_recorded() -> None:
    started = {
        json.loads(path.read_text())["events"][0]["workflowExecutionStartedEventAttributes"]["workflowType"]["name"]
        for path in RECORDED
    }
    assert started == {workflow._Definition.must_from_class(each).name for each in WORKFLOWS}


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox loads a workflow's module by its name."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))


@pytest.mark.usefixtures("importable")
def test_a_run_that_skips_a_step_is_found() -> None:
    with pytest.raises(workflow.NondeterminismError):
        replay(HISTORIES / "full_refresh.json", [changed.WithoutABeginning])


@pytest.mark.usefixtures("importable")
def test_an_import_that_was_not_passed_through_is_named() -> None:
    with pytest.raises(RuntimeError) as caught:
        replay(HISTORIES / "full_refresh.json", [forgetful.Forgetful])
    assert "scheduling.contract was not intentionally passed through" in str(caught.value.__cause__)

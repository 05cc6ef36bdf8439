"""Temporal's sandbox, in which every workflow is tested: it finds what is not deterministic."""

from temporalio import workflow
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions


def workflow_runner() -> SandboxedWorkflowRunner:
    """The sandbox, in which a module that a workflow forgot to pass through is an error, not a second copy of it."""
    policy = workflow.SandboxImportNotificationPolicy
    return SandboxedWorkflowRunner(
        SandboxRestrictions.default.with_import_notification_policy(
            policy.WARN_ON_DYNAMIC_IMPORT | policy.RAISE_ON_UNINTENTIONAL_PASSTHROUGH
        )
    )

"""Nothing of the contract is without its test, and no call has come or gone without a row."""

from pathlib import Path

import pytest

from tests.contract.conftest import make_document
from tests.contract.rows import CALLS, RULES_OF_PATCH
from tests.contract.world import calls_of

TESTS = Path(__file__).parents[1]


def test_every_call_has_its_row_under_its_stable_name() -> None:
    assert {str(call) for call in calls_of(make_document())} == set(CALLS)


@pytest.mark.parametrize("row", [*CALLS, *RULES_OF_PATCH], ids=str)
def test_what_proves_a_row_is_there(row: str | int) -> None:
    proofs = CALLS[row] if isinstance(row, str) else RULES_OF_PATCH[row]
    assert proofs
    for proof in proofs:
        file, _, name = proof.partition("::")
        assert f"def {name}(" in (TESTS / f"{file}.py").read_text(), proof

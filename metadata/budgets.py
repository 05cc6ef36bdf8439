"""Budgets of requests that all workers share: for each account, when the next request may be sent."""

from dataclasses import dataclass, field

from sqlalchemy import case
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col

from metadata.database import clock, database_of_process
from metadata.models import RequestBudget


@dataclass(frozen=True)
class SharedBudget:
    """``connectors.budget.Budget``, by the clock of the database."""

    database_url: str = field(repr=False)

    def reserve(self, account: str, per_second: float, count: int) -> float:
        span = count / per_second
        return max(0.0, self._moved(account, 0.0, span) - span)

    def hold(self, account: str, seconds: float) -> None:
        self._moved(account, seconds, 0.0)

    def _moved(self, account: str, seconds: float, span: float) -> float:
        """Move the account's next request to so many seconds from now, if it would be sooner, and by ``span``.

        In how many seconds it is due then.
        """
        at = col(RequestBudget.next_at)
        with database_of_process(self.database_url).transaction() as session:
            insert = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
            now = clock(session)
            earliest = now + seconds
            statement = (
                insert(RequestBudget)
                .values(account=account, next_at=earliest + span)
                .on_conflict_do_update(
                    index_elements=["account"], set_={"next_at": case((at < earliest, earliest), else_=at) + span}
                )
            )
            due, asked_at = session.execute(statement.returning(at, now)).one()
            return float(due) - float(asked_at)

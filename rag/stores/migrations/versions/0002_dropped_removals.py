"""How far back the log of removals reaches: up to this generation its entries have been dropped."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Note that nothing was dropped yet."""
    op.get_bind().exec_driver_sql("INSERT INTO meta VALUES ('dropped', 0)")

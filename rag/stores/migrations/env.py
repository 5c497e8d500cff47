"""Run by Alembic: all open migrations in one transaction, while every other process that would do so waits."""

from __future__ import annotations

from alembic import context

_LOCK = 7_254_101_963  # any number, the same for all who migrate a database

connection = context.config.attributes["connection"]
context.configure(connection=connection)
with context.begin_transaction():
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
    context.run_migrations()

"""Alembic's entry: runs the steps on the connection that `Database.migrate` opened and locked."""

from alembic import context

from infra.tables import SCHEMA, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table_schema=SCHEMA,
    include_schemas=True,
)
context.run_migrations()

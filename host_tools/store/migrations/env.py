"""Alembic's entry: runs the steps on the connection that ``database`` opened."""

from alembic import context

from host_tools.store.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()

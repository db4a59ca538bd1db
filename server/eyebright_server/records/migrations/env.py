"""What Alembic runs: the migrations, on the connection it was given."""

from alembic import context

from eyebright_server.records.models import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()

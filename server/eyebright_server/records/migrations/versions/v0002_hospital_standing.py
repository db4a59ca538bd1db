"""How often a hospital's reply was bad, and whether it is suspended."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add ``hospital_standing``, empty: nobody has offended yet."""
    op.create_table(
        "hospital_standing",
        sa.Column("hospital", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offences", sa.Integer(), nullable=False),
        sa.Column("suspended", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("hospital"),
    )
    op.execute("UPDATE schema_version SET version = 2")

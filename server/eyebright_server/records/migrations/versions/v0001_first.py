"""The tables as they were before there were migrations; nothing is left to do."""

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Do nothing: records of version 1 have these tables."""

"""What crossed the hospital's border, in a log whose lines hold each other."""

from eyebright_client.audit.journal import Crossing, record, verify

__all__ = ["Crossing", "record", "verify"]

"""What crossed the hospital's border, in a log whose lines hold each other."""

from eyebright_client.audit.crossings import AuditLine, AuditSummary, read_audit
from eyebright_client.audit.journal import Crossing, record, verify

__all__ = ["AuditLine", "AuditSummary", "Crossing", "read_audit", "record", "verify"]

"""What the central server remembers: invitations, participants, reports and the ledger."""

from eyebright_server.records.ledger import GENESIS, LedgerEntry, LedgerHead, canonical, entry_hash, verify_chain
from eyebright_server.records.store import Records

__all__ = ["GENESIS", "LedgerEntry", "LedgerHead", "Records", "canonical", "entry_hash", "verify_chain"]

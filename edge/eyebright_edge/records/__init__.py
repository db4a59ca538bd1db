"""Records that survive a power cut: the visits of this unit, on this unit."""

from eyebright_edge.records.journal import Journal
from eyebright_edge.records.visits import Visit, VisitCounts, VisitJournal

__all__ = ["Journal", "Visit", "VisitCounts", "VisitJournal"]

"""Records that survive a power cut: the visits of this unit, on this unit."""

from eyebright_edge.records.forgiving import ForgivingJournal, ForgivingPictures
from eyebright_edge.records.journal import Journal
from eyebright_edge.records.pictures import FolderPictures, PictureStore
from eyebright_edge.records.visits import Visit, VisitCounts, VisitJournal

__all__ = [
    "FolderPictures",
    "ForgivingJournal",
    "ForgivingPictures",
    "Journal",
    "PictureStore",
    "Visit",
    "VisitCounts",
    "VisitJournal",
]

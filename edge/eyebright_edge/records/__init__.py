"""Records that survive a power cut, and tell nothing to whoever may not open them: the visits of this unit.

* ``journal`` (lines on disk), ``visits`` (what they mean), ``forgiving`` (a disk that cannot be written), ``counted``
  (what of a visit is no patient's).
* ``vault`` (items with keys of their own), ``vault_seals`` (who opens it), ``vault_store`` (journal and pictures in
  it), ``vault_retention`` (forgetting). ``unit_records`` puts them together for the kiosk.
* ``telemetry``: what is told of them.
"""

from eyebright_edge.records.counted import CountingJournal
from eyebright_edge.records.forgiving import ForgivingJournal, ForgivingPictures
from eyebright_edge.records.journal import Journal, JournalLike
from eyebright_edge.records.pictures import PictureStore
from eyebright_edge.records.visits import Visit, VisitCounts, VisitJournal

__all__ = [
    "CountingJournal",
    "ForgivingJournal",
    "ForgivingPictures",
    "Journal",
    "JournalLike",
    "PictureStore",
    "Visit",
    "VisitCounts",
    "VisitJournal",
]

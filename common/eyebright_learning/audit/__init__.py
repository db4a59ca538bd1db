"""The shortcut audit: how much of a label can be told without looking at the retina?

``read_audit_table`` measures the pictures of a manifest, ``audit`` judges them; ``leave_one_site_out_drop`` compares
answers of a model that knew a site with those of one that did not. No torch.
"""

from eyebright_learning.audit.auditing import Audit, audit
from eyebright_learning.audit.clues import CLUES, AuditTable, Clue
from eyebright_learning.audit.mutual_information import SharedInformation, shared_information
from eyebright_learning.audit.predictability import predict_from_measurements, predict_from_names
from eyebright_learning.audit.reading import PictureFacts, Reading, picture_facts, read_audit_table
from eyebright_learning.audit.site_drop import SiteDrop, leave_one_site_out_drop
from eyebright_learning.audit.verdict import Level

__all__ = [
    "CLUES",
    "Audit",
    "AuditTable",
    "Clue",
    "Level",
    "PictureFacts",
    "Reading",
    "SharedInformation",
    "SiteDrop",
    "audit",
    "leave_one_site_out_drop",
    "picture_facts",
    "predict_from_measurements",
    "predict_from_names",
    "read_audit_table",
    "shared_information",
]

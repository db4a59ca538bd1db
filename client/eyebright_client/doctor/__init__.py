"""The doctor: what is wrong with a hospital's pictures, in minutes, before they take part in anything.

``examine`` reads, looks and checks; ``Diagnosis.shareable`` holds counts only, ``Diagnosis.local``
names files and stays.
"""

from eyebright_client.doctor.diagnosis import Diagnosis, Options, examine
from eyebright_client.doctor.findings import Finding, Level

__all__ = ["Diagnosis", "Finding", "Level", "Options", "examine"]

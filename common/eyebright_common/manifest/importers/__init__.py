"""Importers: from the layouts in which retinal pictures come to records of manifest v1.

``read_source`` takes a manifest, a table with a map, a folder, a DICOM tree or a DICOMDIR; ``IMPORTERS`` names the
layouts in the order in which a folder is tried. ``write_records`` writes what was read as a manifest.
"""

from eyebright_common.manifest.importers.layout import OWN_PATIENT, Importer
from eyebright_common.manifest.importers.mapping import DataMap, read_map
from eyebright_common.manifest.importers.source import IMPORTERS, Judged, Source, judge, read_source
from eyebright_common.manifest.importers.written import write_records

__all__ = [
    "IMPORTERS",
    "OWN_PATIENT",
    "DataMap",
    "Importer",
    "Judged",
    "Source",
    "judge",
    "read_map",
    "read_source",
    "write_records",
]

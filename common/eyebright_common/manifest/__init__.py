"""Manifests: which pictures there are, whose they are, what was left out and why, and what belongs together.

``read_dataset`` reads a manifest file or a folder per class; ``load_prepared`` turns rows into prepared pictures;
``cluster_duplicates`` and ``split_groups`` keep a patient, and every copy of a picture, on one side of a split.
"""

from eyebright_common.manifest.dataset import read_dataset
from eyebright_common.manifest.duplicates import Clusters, cluster_duplicates, duplicate_descriptor
from eyebright_common.manifest.loading import Loaded, load_prepared
from eyebright_common.manifest.rows import Manifest, Row, rows_digest
from eyebright_common.manifest.splits import split_groups
from eyebright_common.manifest.writing import write_manifest

__all__ = [
    "Clusters",
    "Loaded",
    "Manifest",
    "Row",
    "cluster_duplicates",
    "duplicate_descriptor",
    "load_prepared",
    "read_dataset",
    "rows_digest",
    "split_groups",
    "write_manifest",
]

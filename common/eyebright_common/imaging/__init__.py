"""Pictures: decode, find the field of view, judge quality, prepare for the network.

One implementation for hospital and unit: what a student was trained on is what it will see. No torch; pydicom is loaded
only when a DICOM object is met.
"""

from eyebright_common.imaging.decoding import decode_image, read_frames, read_picture
from eyebright_common.imaging.field import FieldOfView, field_of_view
from eyebright_common.imaging.preparation import PREPROCESSING_ID, model_input, prepare
from eyebright_common.imaging.quality import INSTRUCTIONS, Quality, assess_quality
from eyebright_common.imaging.refusals import IMAGE_SUFFIXES, MAX_PIXELS

__all__ = [
    "IMAGE_SUFFIXES",
    "INSTRUCTIONS",
    "MAX_PIXELS",
    "PREPROCESSING_ID",
    "FieldOfView",
    "Quality",
    "assess_quality",
    "decode_image",
    "field_of_view",
    "model_input",
    "prepare",
    "read_frames",
    "read_picture",
]

"""From a picture to one plain answer.

* ``picture``: quality verdict first, then the network; a picture that cannot be read or graded is a result, not a gap.
* ``visit``: pictures of both eyes become one answer, through the decision rules every role shares.
* ``overlay``: where the network looked, drawn over the picture.
* ``advice``: what to do, in one sentence.
"""

from eyebright_edge.screening.advice import advice_for
from eyebright_edge.screening.overlay import overlay_attention
from eyebright_edge.screening.picture import ScreenedPicture, refused_picture, screen_picture
from eyebright_edge.screening.release import ServingRelease, open_release
from eyebright_edge.screening.visit import ScreenedVisit, decide_visit, eye_in_name

__all__ = [
    "ScreenedPicture",
    "ScreenedVisit",
    "ServingRelease",
    "advice_for",
    "decide_visit",
    "eye_in_name",
    "open_release",
    "overlay_attention",
    "refused_picture",
    "screen_picture",
]

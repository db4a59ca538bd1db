"""Screening tasks: what is looked for, in which pictures, and what counts as a referral.

* A task fixes the modality, the class order (which is the order of the logits), and the referable classes.
* ``oct`` is a family: data sets name their classes differently, and a class is never renamed into another disease.
  ``resolve_task`` picks the member whose classes the data really has, and says so.
* Labels are compared after ``normalise_label``; spelling and case differ between collections, meaning must not.
"""

from eyebright_common.tasks.catalogue import TASKS, ScreeningTask, get_task, normalise_label, resolve_task

__all__ = ["TASKS", "ScreeningTask", "get_task", "normalise_label", "resolve_task"]

"""From the best student to a release: export, lower, lint, prove, gate, describe; and check any release on any data.

* ``build.build_release`` makes a release folder out of a student, through ``export`` (with ``lowering`` and ``lint``),
  ``parity``, ``gate`` and ``card``; ``operating_point`` turns a chosen threshold into one that ships.
* ``evaluation.evaluate_release`` runs a release over any data; ``tally`` counts, ``reviewing`` adds what a reviewer
  asks for, ``evaluate_command`` prints.
* ``auditing.audit_data`` asks of any data whether its labels can be told without looking at the retina;
  ``audit_command`` prints. ``evaluation_page`` writes either as a page.
* ``repository.ReleaseRepository`` signs and publishes release folders.

Import the module you need: this file imports none, because the commands that sign must not wait for a runtime, and the
ones that check a release must not wait for torch.
"""

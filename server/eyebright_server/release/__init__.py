"""From the best student to a release: export, lower, lint, prove, gate, describe; and check any release on any data.

* ``candidate.make_candidate`` exports a student (``export``, ``lowering``, ``lint``, ``variants``, ``parity``) and
  writes down what was measured; ``gate`` and ``clinical_rules`` judge it under a ``policy``; ``build`` makes a release
  folder of it, with ``card``, ``change_documents`` and ``gate_page``. ``operating_point`` turns a chosen threshold into
  one that ships.
* ``measuring`` and ``site_evidence`` are what a site tells the gate: counts. ``bounds`` is the arithmetic.
* ``desk.ReleaseDesk`` is the operator's: ``release_command`` prints what it does.
* ``evaluation.evaluate_release`` runs a release over any data; ``tally`` counts, ``reviewing`` adds what a reviewer
  asks for, ``evaluate_command`` prints.
* ``auditing.audit_data`` asks of any data whether its labels can be told without looking at the retina;
  ``audit_command`` prints. ``evaluation_page`` writes either as a page.
* ``repository.ReleaseRepository`` signs and publishes release folders; ``key_keeping`` is what it does with its keys.
* ``engine_inbox.EngineInbox`` takes and checks the engines of builders, for a person to sign (``engine_command``).
* ``rollout_command`` prints what the ``fleet`` does ring by ring.

Import the module you need: this file imports none, because the commands that sign must not wait for a runtime, and the
ones that check a release must not wait for torch.
"""

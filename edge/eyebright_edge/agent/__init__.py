"""Enrolment and updates: pull a release, verify it, prove it here, let it serve, undo it at once.

* ``UnitHome`` is the folder; ``transitions`` the machine as a table; ``UpdateAgent`` runs it.
* Screening needs ``UnitHome.serving`` only and waits for nothing in here.

The rooms are imported one by one (``agent.home``, ``agent.update``, ``agent.enrolment``, ``agent.tuf_source``), because
screening must not load gRPC and TUF with them.
"""

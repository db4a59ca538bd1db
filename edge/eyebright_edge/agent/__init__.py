"""Enrolment and updates: pull a release, verify it, prove it here, try it, undo it at once. It cannot break a unit.

* ``UnitHome`` is the folder; ``start`` decides which release answers; screening needs no more and waits for nothing.
* ``transitions`` is the machine as a table, ``steps`` the work of each state, ``UpdateAgent`` (``update``) runs them.
* ``workshop`` is the child process in which a release is prepared and proven (``rehearsal`` is what it does).
* ``trial`` and ``shadow`` judge a release in service; ``news`` keeps the clock; ``service`` is the loop for systemd.

The rooms are imported one by one (``agent.home``, ``agent.update``, ``agent.enrolment``, ``agent.tuf_source``), because
screening must not load gRPC and TUF with them.
"""

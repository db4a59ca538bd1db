"""The screening unit: pull a release, prove it on this machine, screen patients with it, offline.

Rooms: ``agent`` (enrolment and the update machine), ``runtime`` (what runs the network), ``screening`` (picture, eye,
patient), ``records`` (visits that survive a power cut). Lean on purpose: no torch and no Flower anywhere, and screening
a picture loads neither gRPC nor TUF. Importing this package imports none of its rooms.
"""

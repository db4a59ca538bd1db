"""Everything two roles of Eyebright must agree on, without torch and without Flower.

Rooms: ``tasks``, ``imaging``, ``manifest``, ``release``, ``trust``, ``wire``; and ``errors``, ``plan`` and ``cli``.
"""

__version__ = "0.1.0"

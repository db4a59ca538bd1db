"""What the server and the hospitals share when they learn: networks, losses, the training loop and honest numbers.

Rooms: ``data``, ``models``, ``views``, ``distillation``, ``teacher_cache``, ``pretraining``, ``training``,
``evaluation``, ``audit``.
``data`` and ``evaluation`` import without torch, so that an ONNX release can be scored where torch is not wanted.
"""

"""What a hospital agrees to; the server cannot override it."""

from eyebright_client.policy.approval import Policy, approve, approve_signature, read_policy
from eyebright_client.policy.asked_plans import asked_plans, note_asked
from eyebright_client.policy.pausing import is_paused, pause, refuse_while_paused, resume

__all__ = [
    "Policy",
    "approve",
    "approve_signature",
    "asked_plans",
    "is_paused",
    "note_asked",
    "pause",
    "read_policy",
    "refuse_while_paused",
    "resume",
]

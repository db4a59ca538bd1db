"""What a hospital agrees to; the server cannot override it."""

from eyebright_client.policy.approval import Policy, approve, approve_signature, read_policy
from eyebright_client.policy.asked_plans import asked_plans, note_asked
from eyebright_client.policy.pausing import is_paused, pause, refuse_while_paused, resume
from eyebright_client.policy.privacy_budget import PrivacyBudget, keep_to_budget, note_spent, spent
from eyebright_client.policy.rules import PlanRule

__all__ = [
    "PlanRule",
    "Policy",
    "PrivacyBudget",
    "approve",
    "approve_signature",
    "asked_plans",
    "is_paused",
    "keep_to_budget",
    "note_asked",
    "note_spent",
    "pause",
    "read_policy",
    "refuse_while_paused",
    "resume",
    "spent",
]

"""What a hospital agrees to; the server cannot override it."""

from eyebright_client.policy.approval import Policy, approve, read_policy

__all__ = ["Policy", "approve", "read_policy"]

"""The student that a federation begins with, from the operator's own pictures."""

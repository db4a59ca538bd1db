"""Report pages of an evaluation and of a shortcut audit: self-contained, without script, without a name in them."""

from eyebright_server.release.evaluation_page.page import (
    render_audit,
    render_evaluation,
    write_audit_page,
    write_evaluation_page,
)

__all__ = ["render_audit", "render_evaluation", "write_audit_page", "write_evaluation_page"]

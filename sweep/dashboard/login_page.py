"""The pages that ask for the password and that end a visit: plain HTML, without JavaScript."""

from __future__ import annotations

from sweep.dashboard.page_frame import write_page


def write_login_page(goal: str, complaint: str = "", *, asks_name: bool = False) -> str:
    """Write the page that asks for the password.

    Args:
        goal: The path that the browser wanted, where it goes once the password is right.
        asks_name: Whether it also asks for a name, which is written beside what its owner changes.
    """
    return write_page("login.html", goal=goal, complaint=complaint, asks_name=asks_name)


def write_logout_page() -> str:
    """Write the page that ends a visit."""
    return write_page("logout.html")

"""A database URL as it may be printed."""

from __future__ import annotations

from sqlalchemy.engine import URL

_SECRET_OPTIONS = ("password", "sslpassword", "passfile")


def shown_url(url: URL) -> str:
    """`url` without its password, which may stand before the host or among the options.

    Examples:
        >>> from sqlalchemy import make_url
        >>> shown_url(make_url("postgresql://bob:hunter2@db/shop?sslmode=require&password=hunter2"))
        'postgresql://bob:***@db/shop?sslmode=require'
    """
    secret = [name for name in url.query if name.lower() in _SECRET_OPTIONS]
    return url.difference_update_query(secret).render_as_string(hide_password=True)

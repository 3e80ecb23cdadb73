"""Secrets as files: `KAIROS_DATABASE_URL_FILE=/run/secrets/database_url` stands for the file's content.

Containers mount secrets as files, so that they are in no environment that a process list or a crash shows.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from features.errors import UsageError

SECRETS = ("database_url", "gateway_secret", "alert_routes", "source")
"""Settings that may be files; a source may be an address with a password."""
SUFFIX = "_FILE"


class SecretFiles(PydanticBaseSettingsSource):
    """The settings whose `<PREFIX><NAME>_FILE` names a file, read from it."""

    def __init__(self, settings_cls: type[BaseSettings], prefix: str) -> None:
        super().__init__(settings_cls)
        self._prefix = prefix

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """(the file's content or None, the setting's name, False: no JSON)."""
        variable = file_variable(self._prefix, field_name)
        path = os.environ.get(variable) if field_name in SECRETS else None
        if not path:
            return None, field_name, False
        if os.environ.get(variable.removesuffix(SUFFIX)):
            raise UsageError(
                f"{variable} and {variable.removesuffix(SUFFIX)} are both set; unset one of them."
            )
        return _content(variable, Path(path)), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Every setting that a file tells."""
        found = {}
        for name, field in self.settings_cls.model_fields.items():
            value, key, _ = self.get_field_value(field, name)
            if value is not None:
                found[key] = value
        return found


def file_variable(prefix: str, name: str) -> str:
    """The variable that names the setting's file.

    Examples:
        >>> file_variable("KAIROS_", "database_url")
        'KAIROS_DATABASE_URL_FILE'
    """
    return f"{prefix}{name.upper()}{SUFFIX}"


def _content(variable: str, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "no text"
        raise UsageError(f"{variable}={path} cannot be read ({why}); mount the secret there.") from None
    if not text:
        raise UsageError(f"{variable}={path} is empty; write the secret into it.")
    return text

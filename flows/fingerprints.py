"""Short digests that say whether a step's inputs are those of its last run."""

from __future__ import annotations

import hashlib
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path


def fingerprint_of(*parts: object) -> str:
    """16 hex digits that change whenever a part's text does.

    Examples:
        >>> fingerprint_of("lake", 1) == fingerprint_of("lake", 1), len(fingerprint_of("lake"))
        (True, 16)
    """
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:16]


@cache
def commit() -> str:
    """The checked-out commit of our code, '' where it is not in a repository."""
    folder = Path(__file__).resolve().parent
    asked = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False)
    except OSError:
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


@cache
def code_fingerprint(*packages: str) -> str:
    """Digest of the files of our own packages and modules: new code recomputes what it touches."""
    digest = hashlib.sha256()
    for package in packages:
        spec = find_spec(package)
        if spec is None:
            continue
        if not spec.submodule_search_locations:
            assert spec.origin is not None
            digest.update(package.encode() + Path(spec.origin).read_bytes())
            continue
        folder = Path(next(iter(spec.submodule_search_locations)))
        for path in sorted(folder.rglob("*.py")):
            digest.update(str(path.relative_to(folder)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]

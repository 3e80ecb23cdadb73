"""Which system account the embedded PostgreSQL runs as, and the narrow access that account needs.

PostgreSQL refuses to run as root. Under root it runs as an account of its own, which must be able to pass
through the folders above its data and its programs; a private folder such as /root gets one ACL entry that
lets exactly this account pass (not list, not read), instead of being opened to everybody.
"""

from __future__ import annotations

import os
import pwd
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.errors import KairosError

ACCOUNT = "kairos-postgres"

_ACL = "system.posix_acl_access"
_USER_OBJ, _USER, _GROUP_OBJ, _MASK, _OTHER = 1, 2, 4, 16, 32
_NO_ID = 0xFFFFFFFF
_PASS = 1  # the execute bit: on a folder, the right to pass through


@dataclass(frozen=True)
class Account:
    """The uid and gid the server runs with; `switch` when that is not who we are."""

    uid: int
    gid: int
    switch: bool

    def run(self, arguments: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """The finished process of `arguments`, run as this account, from `/`, without our PG* variables."""
        if self.switch:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
        return subprocess.run(
            arguments, cwd="/", env=environment, stdin=subprocess.DEVNULL, text=True, check=False, **options
        )

    def can_enter(self, folder: Path) -> bool:
        """Whether this account can change into `folder`."""
        return (
            self.run(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)], capture_output=True).returncode == 0
        )


def server_account(data_dir: Path) -> Account:
    """The account that owns `data_dir`, or the one a new `data_dir` shall belong to.

    Raises:
        KairosError: The folder belongs to somebody else, or root has no account to switch to.
    """
    here = os.geteuid()
    if data_dir.exists():
        owner = data_dir.stat()
        if owner.st_uid == here or (here == 0 and owner.st_uid != 0):
            return Account(owner.st_uid, owner.st_gid, switch=owner.st_uid != here)
        if here != 0:
            raise KairosError(
                f"{data_dir} belongs to user {owner.st_uid}, you are {here}; "
                "run Kairos as that user, or set KAIROS_HOME to a folder of your own."
            )
    if here != 0:
        return Account(here, os.getegid(), switch=False)
    entry = _system_account()
    return Account(entry.pw_uid, entry.pw_gid, switch=True)


def let_pass(account: Account, folder: Path) -> None:
    """Nothing; afterwards `account` can enter `folder`.

    Raises:
        KairosError: A folder above is closed and the file system has no ACLs.
    """
    if not account.switch or account.can_enter(folder):
        return
    for step in (*reversed(folder.parents), folder):
        if account.can_enter(step):
            continue
        try:
            _grant_passage(step, account.uid)
        except OSError as error:
            raise KairosError(
                f"the system account {ACCOUNT}, which PostgreSQL runs as under root, cannot pass {step} "
                f"({error.strerror}); run chmod o+x {step}, or set KAIROS_HOME to a folder others may enter."
            ) from None


def _system_account() -> pwd.struct_passwd:
    """The account of our own, created on first use."""
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        pass
    add = next((path for name in ("useradd", "adduser") if (path := shutil.which(name))), None)
    if add is not None:
        busybox = add.endswith("adduser")
        options = ["-S", "-D", "-H"] if busybox else ["--system", "--no-create-home", "--shell", "/bin/false"]
        subprocess.run([add, *options, ACCOUNT], capture_output=True, check=False)
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        raise KairosError(
            f"PostgreSQL refuses to run as root and the account {ACCOUNT} could not be created; "
            f"create it (useradd --system {ACCOUNT}), run as another user, or set KAIROS_DATABASE_URL."
        ) from None


def _grant_passage(folder: Path, uid: int) -> None:
    """Nothing; adds the ACL entry `user:<uid>:--x` to `folder` (what `setfacl -m` would do)."""
    mode = folder.stat().st_mode
    try:
        raw = os.getxattr(folder, _ACL)
        entries = {(tag, who): perm for tag, perm, who in struct.iter_unpack("<HHI", raw[4:])}
    except OSError:  # no ACL yet: the mode is all there is
        entries = {
            (_USER_OBJ, _NO_ID): mode >> 6 & 7,
            (_GROUP_OBJ, _NO_ID): mode >> 3 & 7,
            (_OTHER, _NO_ID): mode & 7,
        }
    entries[_USER, uid] = entries.get((_USER, uid), 0) | _PASS
    # The mask caps every entry but the owner's and the others'; it must let ours through.
    entries[_MASK, _NO_ID] = entries.get((_MASK, _NO_ID), entries[_GROUP_OBJ, _NO_ID]) | _PASS
    packed = b"".join(struct.pack("<HHI", tag, perm, who) for (tag, who), perm in sorted(entries.items()))
    os.setxattr(folder, _ACL, struct.pack("<I", 2) + packed)

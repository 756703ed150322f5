"""Whether a run's folder was written by this user: a signature by a key that is kept outside all folders."""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SIGNED = ("command", "said", "made_of")  # what a resumed run is begun with: code, data, device
SIZE = 32  # bytes of the key


def signature(facts: Mapping[str, Any]) -> str | None:
    """A signature of what a run is begun with; None where this user's key can be neither read nor made.

    Args:
        facts: of a ``run.json``, as plain data.
    """
    key = _key(make=True)
    return None if key is None else _signed(key, facts)


def is_mine(path: Path, facts: Mapping[str, Any]) -> bool:
    """Whether a ``run.json`` belongs to this user and is signed with this user's key.

    Args:
        path: the file.
        facts: what it says.
    """
    if hasattr(os, "getuid") and path.stat().st_uid != os.getuid():
        return False
    key, found = _key(make=False), facts.get("signature")
    return key is not None and found is not None and hmac.compare_digest(_signed(key, facts).encode(), found.encode())


def _signed(key: bytes, facts: Mapping[str, Any]) -> str:
    text = json.dumps({name: facts.get(name) for name in SIGNED}, sort_keys=True)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _place() -> Path:
    """The XDG base directory specification's place for what is kept between two starts of a program."""
    place = Path(os.environ.get("XDG_STATE_HOME", ""))
    return (place if place.is_absolute() else Path.home() / ".local" / "state") / "stepsize" / "key"


def _key(make: bool) -> bytes | None:
    try:
        path = _place()
        if make and not path.exists():
            _make(path)
        about, key = path.stat(), path.read_bytes()
    except (OSError, RuntimeError):  # read-only, full, or no home at all
        return None
    if hasattr(os, "getuid") and (about.st_uid != os.getuid() or about.st_mode & 0o077):
        return None  # others could have read it
    return key if len(key) == SIZE else None


def _make(path: Path) -> None:
    """Write a new key, whole, unless another process has been quicker."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".key.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(SIZE))
        try:
            os.link(partial, path)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)

"""Passwords and signatures in addresses, which no message and no result has."""

import re
from hashlib import sha256

# The user part of `abfs://CONTAINER@ACCOUNT` is a container; with a password it is none.
_USERS = re.compile(
    r"(?<=://)(?:(?<!\babfs://)(?<!\babfss://)(?<!\baz://)[^/?#\s]*|[^/?#\s:]*:[^/?#\s]*)@"
)
_SECRETS = re.compile(  # in queries: what lets anybody read who has the address
    r"(?<=[?&])((?:x-amz|x-goog|x-oss)-[\w-]+|signature|sig|token|\w+_?token|\w*accesskeyid|"
    r"googleaccessid|key-pair-id|policy|hdn[et]\w|api_?key|password|passwd|pwd|secret)"
    r"=(?!\.\.\.)([^&#\s'\"]*)",
    re.IGNORECASE,
)


def hide_credentials(text: str) -> str:
    """Text whose addresses have no user, no password and no signature.

    Addresses of different objects stay different: where a `token` may be all that tells them apart,
    six digits of its hash are left.
    """
    if "://" not in text and "=" not in text:
        return text
    return _SECRETS.sub(_hide, _USERS.sub("", text))


def _hide(found: re.Match[str]) -> str:
    name, value = found.groups()
    digest = sha256(value.encode(errors="surrogateescape")).hexdigest()[:6]
    return f"{name}=...{digest if name.lower() == 'token' else ''}"

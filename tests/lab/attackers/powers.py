"""Tells with which powers the app runs."""

import os
import re

from own_memory import answering


def tell():
    """Return uids, gids, groups and the sets of capabilities."""
    with open("/proc/self/status") as stream:
        capabilities = re.findall(r"^Cap(?:Inh|Prm|Eff|Amb):\s*(\w+)", stream.read(), re.MULTILINE)
    return {
        "uids": sorted(set(os.getresuid())),
        "gids": sorted(set(os.getresgid())),
        "groups": sorted(set(os.getgroups())),
        "capabilities": sorted({int(text, 16) for text in capabilities}),
    }


application = answering(tell)

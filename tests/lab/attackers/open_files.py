"""Opens 10,000 files, or as many as it may, and keeps them."""

import os
import resource

from own_memory import answering

kept = []


def begin():
    """Return how many."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 11_000), hard))
    try:
        while len(kept) < 10_000:
            kept.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    return {"open": len(kept)}


application = answering(begin)

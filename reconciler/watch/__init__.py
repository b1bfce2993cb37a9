"""Kernel events under the homes → names of accounts to look at again.

An event is only a reason to look: losing one costs time (the daemon's resync repairs it), never
truth. The flow: `table` (the kernel's queue, and which directory each watch is for) → `session`
(what an event means; one read, one wake) → `emitter` (threads, and starting again). The session has
the watches put right by `forest` in homes, and by `ownpaths` in what is root's.
"""

from reconciler.watch.wake import Wake
from reconciler.watch.watcher import Watch

__all__ = ["Wake", "Watch"]

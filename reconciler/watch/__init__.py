"""Kernel events under the homes → names of accounts to look at again.

An event is only a reason to look: losing one costs time (the daemon's resync repairs it), never
truth. The flow: `kernel` (one inotify descriptor, and who owns which watch) → `homes` and `places`
(what an event means) → `sight` (one read, one wake) → `emitter` (threads, and starting again).
"""

from reconciler.watch.wake import Wake
from reconciler.watch.watcher import Watch

__all__ = ["Wake", "Watch"]

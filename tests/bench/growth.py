"""What one event costs, as the school grows."""

from __future__ import annotations

import os

from reconciler.outside import Outside
from reconciler.passes import Passes
from reconciler.settings import load
from tests.bench import school
from tests.bench.figures import Figure, seconds


def run(homes: int) -> list[Figure]:
    """Measure one changed script among so many homes, from look to link."""
    school.enroll(homes)
    for index in range(homes):
        school.project(index, packages=2)
    school.settings('[daemons]\nbudget = 20000\n[apache]\nconfigtest = ["true"]\n')
    passes = Passes(load(), Outside())
    passes.configure(passes.look().wanted, passes.served, reload=False)
    script = school.ROOT / school.name(7) / "mysite/mysite/wsgi.py"

    def event() -> None:
        os.utime(script)
        passes.look([school.name(7)])

    taken = seconds(event, times=400) * 1e3
    passes.close()
    return [Figure(f"one event among {homes} homes", taken, "ms")]

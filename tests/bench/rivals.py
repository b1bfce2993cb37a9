"""What a sysadmin could pick instead: uWSGI's Emperor, or an editor and `apachectl graceful`."""

from __future__ import annotations

import random
import subprocess
import time
from pathlib import Path

from tests.bench import load, school
from tests.lab.apache import CONF

_VASSAL = """\
[uwsgi]
plugin = python3
uid = {uid}
gid = {uid}
http-socket = 127.0.0.1:{port}
wsgi-file = {script}
"""
STANZA = """\
WSGIDaemonProcess hand-{name} user={name} group={name} threads=3 python-path={home}/mysite
WSGIScriptAlias /hand/{name} {home}/mysite/mysite/wsgi.py
<Location /hand/{name}>
  WSGIProcessGroup hand-{name}
  WSGIApplicationGroup %{{GLOBAL}}
</Location>
<Directory {home}/mysite/mysite>
  <Files wsgi.py>
    Require all granted
  </Files>
</Directory>
"""
"""The manual's own, for one account; at a URL that is not ours."""


def emperor(first: int, samples: int, *options: str) -> list[float]:
    """Return the milliseconds from a vassal's file renamed into place to its own first answer.

    Kind to the Emperor: it has these few vassals alone, and is asked without any server before it.
    """
    vassals = Path("/run/vassals")
    vassals.mkdir(exist_ok=True)
    process = subprocess.Popen(
        ["uwsgi-core", "--emperor", str(vassals), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(2)
        taken = []
        chance = random.Random(7)
        for index in range(first, first + samples):
            script = _ready(index)
            uid = school.FIRST_UID + index
            draft = Path("/run/draft.ini")
            draft.write_text(_VASSAL.format(uid=uid, port=20_000 + index, script=script))
            time.sleep(chance.uniform(0, 3))  # the samples fall anywhere in its rounds
            started = time.perf_counter()
            draft.rename(vassals / f"{school.name(index)}.ini")
            text = school.name(index).encode()
            load.until("/", text, port=20_000 + index, pause=0.001)
            taken.append((time.perf_counter() - started) * 1e3)
        return taken
    finally:
        process.terminate()
        process.wait(30)
        for vassal in vassals.iterdir():
            vassal.unlink()


def graceful(first: int, samples: int) -> list[float]:
    """Return the milliseconds from a stanza added by hand to the first answer, a reload each."""
    taken = []
    for index in range(first, first + samples):
        _ready(index)
        home = school.ROOT / school.name(index)
        started = time.perf_counter()
        with (CONF / "conf-enabled/zz-by-hand.conf").open("a") as file:
            file.write(STANZA.format(name=school.name(index), home=home))
        reload()
        load.until(f"/hand/{school.name(index)}/", school.name(index).encode(), pause=0.001)
        taken.append((time.perf_counter() - started) * 1e3)
        time.sleep(1)
    return taken


def reload() -> None:
    """`apachectl graceful`."""
    # Not a pipe: Apache would inherit it.
    subprocess.run(
        ["apachectl", "graceful"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )


def _ready(index: int) -> Path:
    draft = school.put(index, school.name(index))
    place = draft.parent / "mysite/wsgi.py"
    place.parent.mkdir(exist_ok=True)
    draft.rename(place)
    school.own(school.ROOT / school.name(index), index)
    return place

"""Asks Apache what its visitors asked, from where `Require local` lets it: this machine."""

from urllib.request import urlopen

from own_memory import answering


def ask(port):
    """Return the page of mod_status, if there is one."""
    try:
        with urlopen(f"http://127.0.0.1:{port}/server-status", timeout=5) as answer:
            return {"page": answer.read().decode()}
    except OSError:
        return {"page": ""}


application = answering(ask)

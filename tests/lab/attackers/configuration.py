"""Finds in the app's own memory what stands in files of Apache's that root alone can read."""

import re

from own_memory import PRIVATE, answering, contents


def search(word):
    """Return each text in memory that begins with `word`."""
    pattern = re.compile(re.escape(word.encode()) + rb"[\w-]+")
    found = {match.decode() for data in contents(PRIVATE) for match in pattern.findall(data)}
    return {"found": sorted(found)}


application = answering(search)

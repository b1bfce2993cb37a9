"""Sleeps at each request."""

import time


def application(environ, start_response):
    """Never answer."""
    time.sleep(3600)

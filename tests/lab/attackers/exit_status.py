"""Ends with the status by which a child tells Apache's parent that all is lost, APEXIT_CHILDFATAL.

The parent believes it of a child that it does not know as a worker, too: "Apache is exiting!"
"""

import os


def application(environ, start_response):
    """Never answer."""
    os._exit(15)

"""Publishes students' WSGI projects to Apache: observe, decide, publish, report."""

"""Students' apps that attack: each file is a whole `wsgi.py`, run by Apache as mallory.

They show on a disposable machine what SECURITY.md says of a template set, and no more: what they
find they answer as JSON to the test that asked. They use the standard library and `own_memory`,
which lies beside them in mallory's project, and know what a student knows: what to look for comes
in the query. `tests/lab/attacks.py` says what counts as success, and nothing else runs them.
"""

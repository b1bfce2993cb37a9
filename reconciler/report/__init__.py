"""What happened → log, status, pages. It renders; only `publish` writes."""

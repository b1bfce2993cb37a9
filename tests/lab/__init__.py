"""The laboratory: disposable machines, and what a test does on one (Apache, accounts, program)."""

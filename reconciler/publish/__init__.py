"""The only writer: sets, links, generations, the ledger, and Apache."""

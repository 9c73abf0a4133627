"""SQLite: sessions on a database file, and what the target is made of."""

"""The demo: a live application moves to a new schema in another database, with kills on the way; see demo.py."""

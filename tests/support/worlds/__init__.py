"""Random worlds: schemas, mappings and histories that nobody thought of, for the property tests."""

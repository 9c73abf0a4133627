"""Pure: the mapping model, expression checks and lineage, and the SQL of a projection. No input, no output."""

"""PostgreSQL as a source (chunks, snapshots, catalogue) and as a target (stage, project, merge)."""

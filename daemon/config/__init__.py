"""The configuration: one YAML file, checked as a whole, and taken again while the daemon runs."""

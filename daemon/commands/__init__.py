"""The commands, a module for each family. Imports of what they run are inside, so that `--help` is quick."""

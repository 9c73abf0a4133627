"""The dry run: what a run will do, and samples and batches tried in transactions that are rolled back."""

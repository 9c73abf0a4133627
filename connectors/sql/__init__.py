"""What all SQL engines share as targets: staged rows projected and merged, both sides compared; said in a dialect."""

"""The story of one row: both sides, the control state, and every event with what was decided on it."""

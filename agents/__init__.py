"""The team: six agents in one room."""

"""The vocabulary of MiniLab: pure values and decisions, no I/O."""

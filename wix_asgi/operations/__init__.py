"""What an operator does to a whole storage; the command line is in `cli`."""

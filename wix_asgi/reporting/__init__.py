"""What operators are told: how often a line is repeated. Knows no request and no storage."""

"""Log lines for operators: their limits and their texts. Knows no request and no storage."""

"""The pages that people see, by the reason for them. Touches nothing but its own files."""

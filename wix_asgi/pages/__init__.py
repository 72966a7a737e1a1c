"""The pages that people see, by the reason for them and by language. Touches only its own files."""

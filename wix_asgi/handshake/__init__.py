"""The two paths of an install: to Wix and back. Uses Wix, storage and hooks; opens nothing."""

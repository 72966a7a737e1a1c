"""Events of Wix: verified, kept, answered, and then handled by any process of the app."""

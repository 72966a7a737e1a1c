"""Values per event loop, detached tasks, and slots: the base of all rooms. Imports none of them."""

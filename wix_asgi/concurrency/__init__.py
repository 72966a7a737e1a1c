"""Values per event loop, detached tasks, deadlines, and slots: the base of all rooms.

It imports no other room.
"""

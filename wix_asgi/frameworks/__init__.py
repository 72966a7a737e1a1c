"""The client in the form that each framework wants, one module for each framework.

A module imports its own framework and no other. Apps import `wix_asgi.<framework>`.
"""

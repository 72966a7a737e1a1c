"""What every room stands on: values per event loop, work that outlives its caller, slots."""

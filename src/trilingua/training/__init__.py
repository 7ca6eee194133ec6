"""The loop that trains any task on any stream of batches, and what it leaves on disk."""

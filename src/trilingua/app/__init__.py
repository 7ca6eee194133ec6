"""What people look at: the report of a run as one HTML page."""

"""Pages as read against pages as they are."""

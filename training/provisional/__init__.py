"""The provisional model: from a few corrections to a version that serves one project until the gate can judge."""

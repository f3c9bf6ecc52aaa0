"""The worklist: in which order annotators read the unread tasks of a project."""

"""Files that are left on disk: the job directory and its content."""

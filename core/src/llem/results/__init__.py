"""What is left on disk: the job directory and its files."""

"""Commands of llem-analysis, one file a command."""

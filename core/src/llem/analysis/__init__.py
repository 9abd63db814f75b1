"""What cycles say together: intervals, comparisons, and a study's summary. Reads results; runs nothing."""

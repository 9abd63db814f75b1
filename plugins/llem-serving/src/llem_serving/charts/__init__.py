"""The charts of a load in a report. They are drawn by llem-report, which imports them; without it nothing here is imported."""

"""The recorder of a run, the file it writes, and where runs are found."""

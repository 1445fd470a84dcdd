"""Files of condensed sets that others write and read."""

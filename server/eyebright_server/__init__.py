"""The central server: teacher, federation rounds, releases, distribution and the records all of them share."""

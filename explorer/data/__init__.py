"""Data sets: found, checked, registered, read and made."""

"""The contenders that are written in Python, each in a process of its own."""

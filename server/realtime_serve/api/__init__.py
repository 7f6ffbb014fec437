"""The Python API: a server inside a program, models of one's own, and the parts under the names that users import."""

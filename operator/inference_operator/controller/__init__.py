"""The loop: keys in, observe → plan → apply → report, and when to look again."""

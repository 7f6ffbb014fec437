"""What the server was told: its command line at the start, and files that change while it runs."""

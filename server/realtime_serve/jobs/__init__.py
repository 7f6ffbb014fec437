"""Jobs: generations that outlive the connection of their reader, and the events that any reader can take up again."""

"""The OpenAI API: bodies, their meaning, and the shapes of the answers."""

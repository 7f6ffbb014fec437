"""A hub-shaped HTTP server for models, where the real hub cannot be reached and where tests want a hub of their own."""

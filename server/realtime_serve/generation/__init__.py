"""Where text meets the engine: admission, one generation from request to last token, the models served."""

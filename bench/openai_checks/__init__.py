"""What users of the openai client count on, check by check, against any server that speaks this API as ours does."""

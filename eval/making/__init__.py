"""Making cases from a user's own library: by rules, by a model, from votes in the chat."""

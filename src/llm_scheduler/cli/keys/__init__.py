"""`llms keys …`: API keys, and the key that seals secrets at rest."""

"""Servers that stand in for OpenAI and Anthropic: strict about requests, able to fail in every way."""

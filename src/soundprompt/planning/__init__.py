"""How long a study takes before it runs: what it asks for (`counts`), how fast machines are (`figures`), hours."""

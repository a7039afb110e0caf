"""The generated audio-visual world (docs/miniworld.md)."""

"""soundprompt: GAVS (arXiv 2309.07929) as a reproducible audio-visual segmentation pipeline."""

__version__ = "0.1.0"

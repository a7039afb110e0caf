"""`soundprompt judge`: anybody's masks by every published convention.

`binary`, `semantic`, `boxes`, `ranking` and `negatives` define how a frame is measured and how frames become a
number, each as the program that it names has it; `conventions` lists them, once each, with source, unit and direction.
"""

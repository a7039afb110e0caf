"""stub"""
BASE_CLASSES = (
    2, 4, 6, 7, 8, 9, 10, 11, 12, 16, 17, 18, 19, 20, 21, 26, 27, 28, 29, 31, 35, 36, 37, 38, 40, 41, 43, 44, 46, 47, 48,
    52, 55, 58, 59, 60, 62, 63, 67, 70,
)  # fmt: skip
NOVEL_CLASSES = tuple(sorted(set(range(1, 71)) - set(BASE_CLASSES)))

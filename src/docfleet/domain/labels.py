"""How many labels a document may have, and how long they may be: in characters."""

MAX_LABELS = 32
MAX_LABEL_NAME = 64
MAX_LABEL_VALUE = 256

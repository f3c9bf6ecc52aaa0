"""Text that one program takes and another refuses."""

ODD_TEXTS = (
    "a\0b",
    "\0",
    "\ud800",  # half a character
    "\udfff\ud800",
    "\udcff",  # how Python names a byte that is no UTF-8
    "\ufffe\uffff\U0010ffff",  # code points without a meaning
    "\ufdd0",
    "\ufdd00000",  # how we write a NUL
    "\x01\x1b[31m\x7f\x85",
    "é e\u0301 ﷽ \u202e \u2028",
    "'; DROP TABLE event; --",
    "%s {0} \\ \\u0000",
)

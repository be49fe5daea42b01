"""The parts of the screens, one a file. A widget is given data and says what people do; it never holds a store."""

// Looks up, for a test of layers.py.
#include "app/command_line.h"

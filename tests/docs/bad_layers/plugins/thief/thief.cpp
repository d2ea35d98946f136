// A plugin that reaches into the host, for a test of layers.py.
#include "balance/backend.h"

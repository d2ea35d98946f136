// Looks sideways, for a test of layers.py.
#include "proxy/relay.h"

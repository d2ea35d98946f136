// SPDX-License-Identifier: MIT
//
// Entry point: everything is in app/.
#include "app/command_line.h"

int main(int argc, char** argv) { return lemonade::app::runCommandLine(argc, argv); }

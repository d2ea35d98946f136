// SPDX-License-Identifier: MIT
//
// Entry point of plugin-validate: everything is in host/validate/.
#include "validate/command_line.h"

int main(int argc, char** argv) { return lemonade::validate::runCommandLine(argc, argv); }

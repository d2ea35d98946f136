// SPDX-License-Identifier: MIT
//
// Entry point of plugin-validate: everything is in host/validate/.
#include "base/standard_descriptors.h"
#include "validate/command_line.h"

int main(int argc, char** argv) {
  lemonade::openStandardDescriptors();
  return lemonade::validate::runCommandLine(argc, argv);
}

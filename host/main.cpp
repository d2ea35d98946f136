// SPDX-License-Identifier: MIT
//
// Entry point: everything is in app/.
#include "app/command_line.h"
#include "base/standard_descriptors.h"

int main(int argc, char** argv) {
  lemonade::openStandardDescriptors();
  return lemonade::app::runCommandLine(argc, argv);
}

// SPDX-License-Identifier: MIT
#pragma once

namespace lemonade::validate {

/// The program plugin-validate. 0: nothing failed; 1: something failed, crashed or hung; 2: misuse, or no such file.
int runCommandLine(int argc, char** argv);

}  // namespace lemonade::validate

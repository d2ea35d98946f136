// SPDX-License-Identifier: MIT
//
// A command line as data, of which the build makes man pages and completions: they say what the program takes.
#pragma once

namespace CLI {
class App;
}

namespace lemonade {

/// Lets app take --describe-command-line, which --help does not show: it prints every command and option as JSON and
/// has parse() throw what app.exit() makes 0 of. app is complete when it parses, and outlives that.
void addCommandDescription(CLI::App& app);

}  // namespace lemonade

// SPDX-License-Identifier: MIT
//
// The commands for operators: what they are called and take, and which of them was asked for.
#pragma once

#include "base/clock.h"
#include "cli/options.h"

#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace lemonade::cli {

/// Lives as long as the app that its commands were added to.
class Commands {
 public:
  /// Adds them to the program's.
  void addTo(CLI::App& app);

  /// Whether a command is called so.
  bool has(const std::string& name) const;
  /// Runs the one that the app has parsed; nothing where it is another's. The exit code.
  std::optional<int> run(const CLI::App& app) const;

 private:
  struct Command {
    std::string name;
    std::function<int()> run;
  };

  CLI::App& add(CLI::App& app, const char* name, const char* text, std::function<int()> run);
  void addControl(CLI::App& app, const char* action, const char* text, const char* value);
  void addEvents(CLI::App& app);
  void addWhy(CLI::App& app);
  void addTop(CLI::App& app);

  Options options_;
  std::vector<Command> commands_;
  std::deque<Control> controls_;  // which stay where they are
  std::optional<std::string> pool_;
  std::string plugin_;
  unsigned event_count_ = 20;
  bool follow_ = false;
  std::string look_ = "5s";
  unsigned pick_count_ = 5;
  std::string interval_ = "1s";
  unsigned table_count_ = 0;
};

/// The last lines of each one's help.
extern const char* const kExitCodes;

}  // namespace lemonade::cli

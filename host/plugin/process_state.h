// SPDX-License-Identifier: MIT
//
// What belongs to the process and not to a plugin: signals, the words that control the floating-point unit, locale,
// environment, folder, limits, descriptors, threads, children. It is read before a plugin is loaded and after each
// thing that the plugin does, and two readings are compared; docs/plugin-abi.md says what a plugin may change when.
#pragma once

#include "plugin/float_control.h"
#include "plugin/process_change.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace lemonade::plugin {

/// When a plugin has done it, which decides what it may have done.
enum class Moment {
  kLoaded,   ///< nothing may be new
  kCreated,  ///< from here on an instance may have threads, descriptors and children of its own
  kCalled,
  kEnded,  ///< the last instance is gone, and with it its children; with LEMONADE_FLAG_UNLOAD_SAFE its threads, too
};

/// One reading; a plain value.
class ProcessState {
 public:
  /// Reads it. What belongs to a thread is that of the calling thread, so only readings of one thread are compared. A
  /// dozen small files of /proc; any thread.
  static ProcessState now();

  /// The same, where threads that `before` has not are given half a second to end, unless they may stay.
  static ProcessState afterEnd(const ProcessState& before, bool threads_may_stay);

  /// What a plugin must not have changed between this reading and a later one; nothing where all is as it was.
  struct Rules {
    Moment moment = Moment::kLoaded;
    bool unload_safe = false;       ///< whether the plugin says that it may be unmapped
    std::string private_copy = {};  ///< id of the plugin: a new memfd of that name is the host's copy
  };
  std::optional<ProcessChange> changeIn(const ProcessState& later, const Rules& rules) const;

 private:
  /// One thing with one value.
  struct Property {
    const char* name;   ///< "the locale"
    std::string value;  ///< for people; compared, too
    const char* mend;
    bool tells = true;  ///< whether its values say something to people
  };
  /// One open descriptor.
  struct Descriptor {
    std::string target;  ///< "socket:[123]", "/dev/null"
    std::string file;    ///< which one it is
    int flags;           ///< of both kinds
  };
  using Changes = std::vector<ProcessChange>;

  void readProperties();
  void readSignals();
  void readDescriptors();
  void compareProperties(const ProcessState& later, Changes& changes) const;
  void compareSignals(const ProcessState& later, Changes& changes) const;
  void compareEnvironment(const ProcessState& later, Changes& changes) const;
  void compareDescriptors(const ProcessState& later, const Rules& rules, Changes& changes) const;
  void compareWhatRuns(const ProcessState& later, const Rules& rules, Changes& changes) const;

  std::vector<Property> properties_;                                // the same ones in each reading, in one order
  std::map<int, std::pair<std::uint64_t, std::uint64_t>> signals_;  // handler and flags, by number
  FloatControl float_control_;
  std::map<std::string, std::string> environment_;
  std::map<int, Descriptor> descriptors_;
  std::set<int> threads_;
  bool children_ = false;
};

}  // namespace lemonade::plugin

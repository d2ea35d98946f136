// SPDX-License-Identifier: MIT
//
// Who watches: the streams of /api/v1/stream. Each gets every event, and once a second the status, which is made once
// for all of them. A thread of its own does that, and sleeps where nobody watches.
//
// Any thread.
#pragma once

#include "admin/message.h"
#include "observe/events.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace lemonade::app {

class Live {
 public:
  static constexpr std::size_t kMost = 16;

  /// status makes the JSON of the status; it is called on the thread of this.
  Live(std::shared_ptr<Events> events, std::function<std::string()> status);
  ~Live() { stop(); }
  Live(const Live&) = delete;
  Live& operator=(const Live&) = delete;

  /// Begins a stream with the events behind that number, or with those that are still to come; 503 where there are too
  /// many or it has stopped.
  admin::Response open(std::optional<std::uint64_t> after);
  /// Ends all streams. Again: does nothing.
  void stop();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace lemonade::app

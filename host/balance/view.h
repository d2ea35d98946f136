// SPDX-License-Identifier: MIT
//
// An immutable set of backends with the strategy that picks from it and what that strategy prepared for it: everything a
// pick reads, behind one pointer. A change of membership, weight, health or strategy makes a new one.
#pragma once

#include "balance/backend.h"
#include "balance/strategy.h"

#include <lemonade/strategy.h>

#include <memory>
#include <vector>

namespace lemonade {

class View {
 public:
  using Backends = std::vector<std::shared_ptr<Backend>>;

  /// Copies what the backends are at this moment and has the strategy prepare. Control thread.
  View(const Backends& backends, std::shared_ptr<Strategy> strategy, std::uint64_t serial);
  /// Releases what was prepared. Control thread, after the last worker read it.
  ~View();
  View(const View&) = delete;
  View& operator=(const View&) = delete;

  // Any thread.
  const lemonade_view_t& get() const noexcept { return view_; }
  const Strategy& strategy() const noexcept { return *strategy_; }
  const void* prepared() const noexcept { return prepared_; }
  Backend& backend(std::uint32_t index) const noexcept { return *backends_[index]; }
  bool eligible(std::uint32_t index) const noexcept { return (rows_[index].flags & LEMONADE_BACKEND_ELIGIBLE) != 0; }

 private:
  void addRow(const Backend& backend, std::uint32_t index);
  void prepare();

  const Backends backends_;
  const std::shared_ptr<Strategy> strategy_;
  std::vector<std::string> names_;
  std::vector<lemonade_backend_t> rows_;
  std::vector<std::uint32_t> eligible_;
  lemonade_view_t view_{};
  void* prepared_ = nullptr;
};

}  // namespace lemonade
